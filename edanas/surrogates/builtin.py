"""The built-in surrogate models, as a plugin."""

from collections.abc import Callable

from edanas.core.contracts import SurrogateModel
from edanas.core.hookspecs import hookimpl
from edanas.surrogates.cart import CART
from edanas.surrogates.exit_curves import ExitCurves
from edanas.surrogates.exit_profiles import ExitProfiles
from edanas.surrogates.gp import GP
from edanas.surrogates.mlp import MLP
from edanas.surrogates.one_hot_gp import OneHotGP
from edanas.surrogates.rbf import RBF
from edanas.surrogates.xgb import XGBoost


@hookimpl
def edanas_surrogate_models() -> dict[str, Callable[..., SurrogateModel]]:
    """Register the models of genes and values, and the two models that learn from exit profiles."""
    return {
        "rbf": RBF,
        "mlp": MLP,
        "cart": CART,
        "gp": GP,
        "xgboost": XGBoost,
        "one-hot-gp": OneHotGP,
        "exit-curves": ExitCurves,
        "exit-profiles": ExitProfiles,
    }
