"""The time after which a test gives up on a process that hangs."""

PATIENCE = 600.0
"""Seconds. Far longer than any wait of a test takes, on a busy machine too."""
