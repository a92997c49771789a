"""Exporters of finished early-exit networks, and the reader of saved ones."""
