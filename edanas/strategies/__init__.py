"""Search strategies and objectives: what to evaluate next, and what to judge it by."""
