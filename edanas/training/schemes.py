"""Training schemes: how the losses of several exits become one number."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from edanas.core.contracts import TrainingScheme
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl


class Joint(TrainingScheme):
    """Weighted sum of all exits' cross-entropies (Eq. 4 of the paper).

    Args:
        weights: One weight an exit, the last exit last; empty = 1 for each, as in Section V of the paper.

    Raises:
        ConfigError: A weight is negative, or all are 0.
    """

    def __init__(self, weights: tuple[float, ...] = ()) -> None:
        if weights and (min(weights) < 0 or max(weights) == 0):
            raise ConfigError(f"scheme.weights: found {list(weights)}; allowed: numbers >= 0, not all 0")
        self.weights = weights

    def loss(
        self, logits: Sequence[torch.Tensor], targets: torch.Tensor, label_smoothing: float = 0.0
    ) -> torch.Tensor:
        """See `TrainingScheme.loss`.

        Raises:
            ConfigError: The number of weights is not the number of exits.
        """
        weights = self.weights or (1.0,) * len(logits)
        if len(weights) != len(logits):
            raise ConfigError(f"scheme.weights: found {len(weights)} weights for {len(logits)} exits")
        losses = [
            w * F.cross_entropy(exit_logits, targets, label_smoothing=label_smoothing)
            for w, exit_logits in zip(weights, logits, strict=True)
        ]
        return torch.stack(losses).sum()


@hookimpl
def edanas_training_schemes() -> dict[str, Callable[..., TrainingScheme]]:
    """The built-in training schemes."""
    return {"joint": Joint}
