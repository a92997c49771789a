"""Built-in search strategies, which choose the candidates to evaluate next."""
