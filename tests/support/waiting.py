"""Time limit for processes that hang."""

PATIENCE = 600.0
"""Seconds; far longer than any wait of a test, on a busy machine as well."""
