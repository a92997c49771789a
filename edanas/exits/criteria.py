"""Confidence criteria that are built in: the paper's score margin, and the largest probability."""

from collections.abc import Callable

import torch

from edanas.core.contracts import ConfidenceCriterion
from edanas.core.hookspecs import hookimpl


class ScoreMargin(ConfidenceCriterion):
    """The largest class probability minus the second largest (Section IV-B of the paper); 1 for one class."""

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) -> margin (B,) in [0, 1]."""
        scores = probabilities(logits)
        if scores.shape[1] == 1:
            return scores[:, 0]
        best = scores.topk(2, dim=1).values
        return best[:, 0] - best[:, 1]


class MaxProbability(ConfidenceCriterion):
    """The largest class probability; never below 1 / K."""

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) -> the largest probability (B,) in [0, 1]."""
        return probabilities(logits).amax(dim=1)


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Softmax over classes in at least float32, where infinities count as the largest finite numbers.

    Classes that are all infinitely likely share the probability. NaN stays NaN: a broken network shows.

    Args:
        logits: (B, K) floats of any precision.

    Returns:
        (B, K), float64 for float64 logits, else float32.
    """
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return torch.nan_to_num(wide, nan=float("nan")).softmax(dim=1)


@hookimpl
def edanas_confidence_criteria() -> dict[str, Callable[..., ConfidenceCriterion]]:
    """The built-in confidence criteria."""
    return {"score-margin": ScoreMargin, "max-probability": MaxProbability}
