"""Supernet providers: families of weight-sharing networks, with search spaces of backbones."""
