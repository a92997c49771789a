"""Supernet providers: families of weight-sharing networks that backbones are searched in."""
