"""Mathematics for all packages: Pareto tools, Gaussian processes, intervals and small solvers."""
