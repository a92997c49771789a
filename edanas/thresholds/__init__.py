"""Thresholds of early exits: profiles, scoring of selection schemes, exact fronts, setters and budgets."""
