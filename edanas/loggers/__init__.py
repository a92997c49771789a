"""Loggers: plugins that report the events of a run to other tools."""
