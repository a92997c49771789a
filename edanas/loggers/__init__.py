"""Loggers: plugins on lifecycle events that report a run to other tools."""
