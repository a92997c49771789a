"""Mathematics that any package may use: Pareto tools, Gaussian processes, intervals and small solvers."""
