"""Loggers: plugins on the lifecycle events that a run asks for by name, for other tools to show."""
