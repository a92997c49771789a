"""Surrogate models: regressors from a genome to one objective, and adaptive switching among them.

Each model has a module. `rbf`, `mlp`, `cart`, `gp` and `xgb` learn from genes and values; `exit_curves` and
`exit_profiles` learn from exit profiles, on top of `profile_model`, `profile_bits` and `backbone_smoother`.
`adaptive` compares several models by Kendall's tau on held-out candidates and chooses the best. `builtin`
registers the models as a plugin.
"""
