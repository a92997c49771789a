"""Supernet providers: families of weight-sharing networks, whose backbones are searched."""
