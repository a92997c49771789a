"""Built-in inference rules."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts import Formula, InferenceRule
from edanas.core.hookspecs import hookimpl
from edanas.numerics.minimization import minimise

_PENALTY = 0.01
"""Factor of the penalty on squared weights, in nats per sample; it keeps weights with little effect equal."""


class EarlyStop(InferenceRule):
    """The logits of the exit where the sample exits; earlier exits do not count (Section III of the paper).

    Example:
        >>> EarlyStop()([torch.tensor([[0.0, 1.0]]), torch.tensor([[3.0, 0.0]])], (0, 1))
        tensor([[3., 0.]])
    """

    def __call__(self, logits: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `InferenceRule`."""
        return logits[-1]

    def formula(self) -> Formula:
        """See `ExitReader.formula`."""
        return Formula("early-stop")


class Aggregate(nn.Module, InferenceRule):
    """The mean of the class probabilities of all exits that a sample has passed, the current exit included.

    With this rule, the metric `backbone accuracy` measures the mean over all placed exits and the last exit,
    not the last exit alone.

    Args:
        combine: Kind of mean. `mean`, the default, is the arithmetic mean (Qendro, Campbell, Lio and Mascolo,
            "Early exit ensembles for uncertainty quantification", ML4H 2021). `geometric` is the mean of the
            logarithms, normalised. `learned` is a weighted mean: each exit has a weight, normalised by a
            softmax over the exits that ran. The weights maximise the likelihood of the labels of the
            calibration part, summed over all placed exits and the last exit.

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
        """See `ExitReader.build`. All exits have equal weights until `fit` is called."""
        rule = Aggregate(self.combine)
        if self.fits:
            rule.weights = nn.Parameter(torch.zeros(exit_points + 1))
        return rule

    def forward(self, logits: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `InferenceRule.__call__`. The result holds logarithms of probabilities (B, K)."""
        each = torch.stack([log_probabilities(exit_) for exit_ in logits])
        if self.combine == "geometric":
            return each.mean(dim=0)
        if self.weights is None:
            return torch.logsumexp(each, dim=0) - math.log(len(logits))
        # A list as an index would become a constant in the graph, which some export formats do not allow.
        return _weighted(each, torch.stack([self.weights[point] for point in points]))

    def formula(self) -> Formula:
        """See `ExitReader.formula`."""
        if self.combine == "geometric":
            return Formula("mean-logit")
        if self.weights is None:
            return Formula("mean-probability")
        weights = self.weights.detach().double()
        return Formula("mean-probability", tuple((weights - weights.max()).exp().tolist()))

    def fit(self, outputs: Sequence[torch.Tensor], labels: torch.Tensor, points: Sequence[int]) -> None:
        """See `ExitReader.fit`. The weights of exits that are not placed do not change."""
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


class MostConfident(InferenceRule):
    """The logits of the exit where the sample exits; at the last exit, those of the most confident exit.

    If no early exit was confident enough, the answer is that of the exit with the largest class probability
    among all exits that ran. Kaya, Hong and Dumitras, "Shallow-Deep Networks: Understanding and mitigating
    network overthinking", ICML 2019.

    With this rule, the metric `backbone accuracy` measures the most confident exit, not the last exit alone.

    Example:
        >>> rule = MostConfident().build(classes=2, exit_points=1)
        >>> early, last = torch.tensor([[0.0, 9.0]]), torch.tensor([[3.0, 0.0]])
        >>> rule([early], (0,)), rule([early, last], (0, 1))
        (tensor([[0., 9.]]), tensor([[0., 9.]]))
    """

    memory = True

    def __init__(self) -> None:
        self.last = -1

    def build(self, classes: int, exit_points: int) -> "MostConfident":
        """See `ExitReader.build`."""
        rule = MostConfident()
        rule.last = exit_points
        return rule

    def __call__(self, logits: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `InferenceRule.__call__`."""
        if points[-1] != self.last:
            return logits[-1]
        each = torch.stack(list(logits), dim=1)
        confidence = torch.stack([log_probabilities(exit_).amax(dim=1) for exit_ in logits], dim=1)
        best = confidence.argmax(dim=1)[:, None, None].expand(-1, 1, each.shape[2])
        return each.gather(1, best)[:, 0]


def log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return the logarithms (B, K) of the class probabilities; see `edanas.exits.criteria.probabilities`."""
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return torch.nan_to_num(wide, nan=float("nan")).log_softmax(dim=1)


def _weighted(each: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the logarithm (B, K) of a weighted mean of the probabilities of E exits.

    Args:
        each: (E, B, K) logarithms of probabilities.
        weights: (E,) weights of the exits before the softmax.
    """
    return torch.logsumexp(each + weights.to(each.dtype).log_softmax(dim=0)[:, None, None], dim=0)


@hookimpl
def edanas_inference_rules() -> dict[str, Callable[..., InferenceRule]]:
    """Register the built-in inference rules by name."""
    return {"early-stop": EarlyStop, "aggregate": Aggregate, "most-confident": MostConfident}
