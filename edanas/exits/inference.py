"""Inference rules that are built in: what the network answers for a sample that leaves."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts import InferenceRule
from edanas.core.hookspecs import hookimpl
from edanas.numerics.minimization import minimise

_PENALTY = 0.01
"""On the squares of the exits' weights, in nats for each sample: where they matter little, they are equal."""


class EarlyStop(InferenceRule):
    """The exit where a sample leaves answers alone (Section III of the paper)."""

    def __call__(self, logits: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `InferenceRule`."""
        return logits[-1]


class Aggregate(nn.Module, InferenceRule):
    """All exits that ran answer together: their probabilities are combined, exits passed on the way included.

    The mean is that of Qendro, Campbell, Lio and Mascolo, "Early exit ensembles for uncertainty
    quantification", ML4H 2021. The geometric mean is the mean of logarithms, normalised. Learned weights are
    those of a mean, one for each exit: a softmax over the exits that ran, fitted on the calibration part to
    the labels' likelihood at all exits that stand.

    With it, `backbone accuracy` is what the network attains where nobody leaves early: by all exits together.

    Args:
        combine: `mean`, `geometric` or `learned`.
    """

    memory = True

    def __init__(self, combine: Literal["mean", "geometric", "learned"] = "mean") -> None:
        super().__init__()
        self.combine = combine
        self.fits = combine == "learned"
        self.weights: nn.Parameter | None = None

    def build(self, classes: int, exit_points: int) -> "Aggregate":
        """See `ExitReader.build`; equal weights, until they are fitted."""
        made = Aggregate(self.combine)
        if self.fits:
            made.weights = nn.Parameter(torch.zeros(exit_points + 1))
        return made

    def forward(self, logits: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `InferenceRule.__call__`: logarithms of probabilities, float32 or wider."""
        each = torch.stack([log_probabilities(exit_) for exit_ in logits])
        if self.combine == "geometric":
            return each.mean(dim=0)
        if self.weights is None:
            return torch.logsumexp(each, dim=0) - math.log(len(logits))
        # One by one: a list as an index would be a constant in a graph, which not every form can hold.
        return _weighted(each, torch.stack([self.weights[point] for point in points]))

    def fit(self, said: Sequence[torch.Tensor], labels: torch.Tensor, points: Sequence[int]) -> None:
        """See `ExitReader.fit`; the weights of exits that do not stand stay as they are."""
        if self.weights is None:
            return
        each = torch.stack([log_probabilities(exit_.double()) for exit_ in said])
        weights = torch.zeros(len(points), dtype=torch.float64, device=each.device, requires_grad=True)

        def loss() -> torch.Tensor:
            answers = [_weighted(each[:ran], weights[:ran]) for ran in range(1, len(points) + 1)]
            likelihood = torch.stack([F.nll_loss(answer.clamp_min(-100.0), labels) for answer in answers])
            return likelihood.sum() + _PENALTY * weights.square().sum()

        minimise([weights], loss)
        with torch.no_grad():
            self.weights[list(points)] = weights.to(self.weights.dtype)


def log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Logarithms (B, K) of what `edanas.exits.criteria.probabilities` gives."""
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return torch.nan_to_num(wide, nan=float("nan")).log_softmax(dim=1)


def _weighted(each: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The weighted mean of exits' probabilities (E, B, K), in logarithms; weights (E,) before softmax."""
    return torch.logsumexp(each + weights.to(each.dtype).log_softmax(dim=0)[:, None, None], dim=0)


@hookimpl
def edanas_inference_rules() -> dict[str, Callable[..., InferenceRule]]:
    """The built-in inference rules."""
    return {"early-stop": EarlyStop, "aggregate": Aggregate}
