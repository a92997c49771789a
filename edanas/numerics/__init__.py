"""Mathematics for all packages: Pareto fronts, Gaussian processes, confidence intervals, minimisation."""
