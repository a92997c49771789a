"""Exporters of finished early-exit networks, and the loader of exported networks."""
