"""Evaluation modes, which measure candidates, and the finishing of the chosen candidates."""
