"""Thresholds of early-exit networks: scoring by exit profiles, Pareto fronts, setters, budgets."""
