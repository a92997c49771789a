"""Built-in inference rules."""

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
"""Penalty on the squares of the exits' weights, in nats per sample: weights with little effect stay equal."""


class EarlyStop(InferenceRule):
    """The answer of the exit where the sample exits, alone (Section III of the paper).

    Example:
        >>> EarlyStop()([torch.tensor([[0.0, 1.0]]), torch.tensor([[3.0, 0.0]])], (0, 1))
        tensor([[3., 0.]])
    """

    def __call__(self, logits: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `InferenceRule`."""
        return logits[-1]


class Aggregate(nn.Module, InferenceRule):
    """The combined probabilities of all exits that ran, also of those where the sample did not exit.

    The mean is that of Qendro, Campbell, Lio and Mascolo, "Early exit ensembles for uncertainty
    quantification", ML4H 2021. The geometric mean is the mean of logarithms, normalised. Learned weights are
    those of a mean, one for each exit: a softmax over the exits that ran, fitted on the calibration part to
    the likelihood of the labels at all placed exits.

    With this rule, `backbone accuracy` is the accuracy of all exits together for samples that reach the last
    exit.

    Args:
        combine: `mean`, `geometric` or `learned`.

    Example:
        >>> rule = Aggregate("mean")
        >>> rule([torch.zeros(1, 2), torch.zeros(1, 2)], (0, 1)).exp()
        tensor([[0.5000, 0.5000]])
    """

    memory = True

    def __init__(self, combine: Literal["mean", "geometric", "learned"] = "mean") -> None:
        super().__init__()
        self.combine = combine
        self.fits = combine == "learned"
        self.weights: nn.Parameter | None = None

    def build(self, classes: int, exit_points: int) -> "Aggregate":
        """See `ExitReader.build`; weights are equal until they are fitted."""
        rule = Aggregate(self.combine)
        if self.fits:
            rule.weights = nn.Parameter(torch.zeros(exit_points + 1))
        return rule

    def forward(self, logits: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `InferenceRule.__call__`: logarithms of probabilities, float32 or wider."""
        each = torch.stack([log_probabilities(exit_) for exit_ in logits])
        if self.combine == "geometric":
            return each.mean(dim=0)
        if self.weights is None:
            return torch.logsumexp(each, dim=0) - math.log(len(logits))
        # One by one: a list as an index would be a constant in a graph, which some exports cannot hold.
        return _weighted(each, torch.stack([self.weights[point] for point in points]))

    def fit(self, outputs: Sequence[torch.Tensor], labels: torch.Tensor, points: Sequence[int]) -> None:
        """See `ExitReader.fit`; the weights of exits that are not placed do not change."""
        if self.weights is None:
            return
        each = torch.stack([log_probabilities(exit_.double()) for exit_ in outputs])
        weights = torch.zeros(len(points), dtype=torch.float64, device=each.device, requires_grad=True)

        def loss() -> torch.Tensor:
            answers = [_weighted(each[:ran], weights[:ran]) for ran in range(1, len(points) + 1)]
            likelihood = torch.stack([F.nll_loss(answer.clamp_min(-100.0), labels) for answer in answers])
            return likelihood.sum() + _PENALTY * weights.square().sum()

        minimise([weights], loss)
        with torch.no_grad():
            self.weights[list(points)] = weights.to(self.weights.dtype)


def log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return the logarithms (B, K) of `edanas.exits.criteria.probabilities`."""
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return torch.nan_to_num(wide, nan=float("nan")).log_softmax(dim=1)


def _weighted(each: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the log of the weighted mean of probabilities (E, B, K); weights (E,) before softmax."""
    return torch.logsumexp(each + weights.to(each.dtype).log_softmax(dim=0)[:, None, None], dim=0)


@hookimpl
def edanas_inference_rules() -> dict[str, Callable[..., InferenceRule]]:
    """Return the built-in inference rules by name."""
    return {"early-stop": EarlyStop, "aggregate": Aggregate}
