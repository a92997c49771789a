"""Search strategies: they choose the candidates to evaluate next."""
