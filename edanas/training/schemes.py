"""Training schemes: in which phases a network with exits is trained, and by which loss."""

from collections.abc import Callable

import torch

from edanas.core.contracts import ExitBatch, TrainingScheme
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl


class Joint(TrainingScheme):
    """Weighted sum of all exits' cross-entropies (Eq. 4 of the paper).

    Args:
        early: Weight of each early exit; 1 in Section V of the paper.
        last: Weight of the last exit; 1 in Section V of the paper.

    Raises:
        ConfigError: A weight is negative, or both are 0.
    """

    def __init__(self, early: float = 1.0, last: float = 1.0) -> None:
        for name, weight in (("early", early), ("last", last)):
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"scheme.{name}: found {weight}; allowed: a number >= 0")
        if early == last == 0:
            raise ConfigError("scheme.early: found 0, as scheme.last; allowed: one of them above 0")
        self.early, self.last = early, last

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """See `TrainingScheme.loss`."""
        losses = batch.cross_entropies()
        weights = [*[self.early] * (len(losses) - 1), self.last]
        return (losses * losses.new_tensor(weights)).sum()


@hookimpl
def edanas_training_schemes() -> dict[str, Callable[..., TrainingScheme]]:
    """The built-in training schemes."""
    return {"joint": Joint}
