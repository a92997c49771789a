"""The built-in surrogate models, as a plugin."""

from collections.abc import Callable

from edanas.core.contracts import SurrogateModel
from edanas.core.hookspecs import hookimpl
from edanas.surrogates.cart import CART
from edanas.surrogates.gp import GP
from edanas.surrogates.mlp import MLP
from edanas.surrogates.rbf import RBF
from edanas.surrogates.xgb import XGBoost


@hookimpl
def edanas_surrogate_models() -> dict[str, Callable[..., SurrogateModel]]:
    """Five models; the first four are the paper's."""
    return {"rbf": RBF, "mlp": MLP, "cart": CART, "gp": GP, "xgboost": XGBoost}
