"""Surrogate models: regressors from a genome to one objective, and adaptive switching between models.

Each model has a module. The models `rbf`, `mlp`, `cart`, `gp` and `xgb` learn from genes and values. The
models `exit_curves` and `exit_profiles` learn from exit profiles; they use `profile_model`, `profile_bits`
and `backbone_smoother`. The module `adaptive` compares several models by Kendall's tau on held-out candidates
and chooses the best model. The module `builtin` registers the models as a plugin.
"""
