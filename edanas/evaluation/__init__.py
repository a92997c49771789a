"""Evaluation modes, which turn candidates into metrics, and the finishing of chosen candidates."""
