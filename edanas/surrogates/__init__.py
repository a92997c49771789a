"""Surrogate models: cheap regressors from a genome to one objective, and the switch that picks among them.

One module a model: `rbf`, `mlp`, `cart`, `gp` and `xgb` learn from genes and values, `exit_curves` and
`exit_profiles` from exit profiles, with what `informed`, `evidence` and `smoothing` give them. `adaptive`
judges several by Kendall's tau on held-out candidates and keeps the best; `builtin` makes the models known as
a plugin.
"""
