"""Thresholds of early-exit networks: scores from exit profiles, Pareto fronts, setters and budgets."""
