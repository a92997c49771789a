"""Built-in objectives and constraints of a search."""
