"""Inference rules whose heads read the exit before them: `boosted` (BoostNet) and `ztw` (Zero Time Waste)."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts import InferenceRule
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.exits.inference import log_probabilities
from edanas.numerics.minimization import minimise

_SMALLEST_LOG = -100.0
"""Smallest logarithm of a probability that a rule reads, so that sums are finite."""


class Boosted(InferenceRule):
    """The sum of the logits of all exits that ran, with less weight on earlier exits (BoostNet).

    The exits are weak learners of an additive model: exit n has the logits F_n = f_n + `decay` F_(n-1), where
    f_n is the output of its head. The loss of exit n is that of F_n, and F_(n-1) is fixed in it, so that each
    exit learns what the exits before it leave wrong. All training schemes use F_n; the source trains with
    `joint` and `rescale = true`.

    Source: Yu, Li, Hua, Huang and Shi, "Boosted dynamic neural networks", AAAI 2023.

    Args:
        decay: Weight of the logits of the exit before, from 0 to 1; 0.5 by default, as in the source.

    Raises:
        ConfigError: `decay` is not between 0 and 1.

    Example:
        >>> Boosted().corrected(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 4.0]]), point=1)
        tensor([[2., 2.]])
    """

    memory = True

    def __init__(self, decay: float = 0.5) -> None:
        if not 0 <= decay <= 1:
            raise ConfigError(f"inference.decay: found {decay}; allowed: a number >= 0 and <= 1")
        self.decay = decay

    def corrected(self, logits: torch.Tensor, earlier: torch.Tensor | None, point: int) -> torch.Tensor:
        """See `InferenceRule.corrected`."""
        return logits if earlier is None else logits + self.decay * earlier

    def __call__(self, logits: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `InferenceRule`."""
        return logits[-1]


class ZeroTimeWaste(nn.Module, InferenceRule):
    """Heads that read the exit before them, and a weighted geometric mean of the exits that ran (ZTW).

    Cascade connections: the last linear layer of a head also reads the logits of the exit before, normalised
    to mean 0 and deviation 1. That part of the layer is linear, so it is added to the head's output, and fits
    every head. It starts at 0, and is trained with the heads; no gradient flows into the exit before.

    Ensemble: exit m has the answer softmax(b_m + sum over exits j <= m of w_mj log p_j), with p_j the class
    probabilities of exit j. The weights w_mj > 0 and b_m maximise the likelihood of the labels of the
    calibration part, after the training. The last exit of the backbone has no part in both, as in the source.

    The source freezes a trained backbone and trains the heads alone: the scheme `internal-classifiers`. It
    fits the ensemble on the train part. In a supernet, whose heads are trained with every exit, a network
    with fewer exits connects each head with the nearest exit before it.

    Source: Wołczyk et al., "Zero time waste: Recycling predictions in early exit neural networks", NeurIPS
    2021.

    Args:
        cascade: False to leave out the cascade connections; true by default.
        penalty: Factor of the penalty on squared log w_mj and b_m, in nats per sample; above 0. It keeps
            weights with little effect equal.

    Raises:
        ConfigError: `penalty` is not a finite number above 0.

    Example:
        >>> rule = ZeroTimeWaste().build(classes=2, exit_points=2)
        >>> rule([torch.zeros(1, 2), torch.tensor([[0.0, 2.0]])], (0, 1)).softmax(1).round(decimals=2)
        tensor([[0.2700, 0.7300]], grad_fn=<RoundBackward1>)
    """

    memory = True

    def __init__(self, penalty: float = 0.01, *, cascade: bool = True) -> None:
        super().__init__()
        if not 0 < penalty < float("inf"):
            raise ConfigError(f"inference.penalty: found {penalty}; allowed: a number > 0")
        self.penalty, self.cascade = penalty, cascade
        self.corrects = cascade
        self.connections = nn.ParameterList()
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()

    def build(self, classes: int, exit_points: int) -> "ZeroTimeWaste":
        """See `ExitReader.build`. Connections are 0 and exits have equal weights at first."""
        rule = ZeroTimeWaste(self.penalty, cascade=self.cascade)
        for _ in range(exit_points):
            rule.weights.append(nn.Parameter(torch.zeros(exit_points)))
            rule.biases.append(nn.Parameter(torch.zeros(classes)))
            if self.cascade:
                # Flat, because the costs of a matrix must be counted at the last exit, too, which has none.
                rule.connections.append(nn.Parameter(torch.zeros(classes * classes)))
        return rule

    def corrected(self, logits: torch.Tensor, earlier: torch.Tensor | None, point: int) -> torch.Tensor:
        """See `InferenceRule.corrected`. The first exit has the cost of any other exit."""
        if not self.cascade or point >= len(self.connections):
            return logits
        connection = self.connections[point]
        before = torch.zeros_like(logits) if earlier is None else earlier
        read = F.layer_norm(log_probabilities(before).clamp_min(_SMALLEST_LOG), before.shape[1:])
        matrix = connection.view(logits.shape[1], -1)
        return logits + F.linear(read.to(matrix.dtype), matrix).to(logits.dtype)

    def forward(self, logits: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `InferenceRule.__call__`. The result holds logarithms of probabilities (B, K)."""
        here = points[-1]
        if here >= len(self.weights):
            return log_probabilities(logits[-1])
        # A list as an index would become a constant in the graph, which some export formats do not allow.
        shares = torch.stack([self.weights[here][point] for point in points])
        each = torch.stack([log_probabilities(exit_) for exit_ in logits])
        return _geometric(each, shares, self.biases[here])

    def fit(self, outputs: Sequence[torch.Tensor], labels: torch.Tensor, points: Sequence[int]) -> None:
        """See `ExitReader.fit`. The weights of exits that are not placed do not change."""
        each = torch.stack([log_probabilities(exit_.double()) for exit_ in outputs])
        for ran, point in enumerate(points, start=1):
            if point >= len(self.weights):
                continue
            shares = torch.zeros(ran, dtype=each.dtype, device=each.device, requires_grad=True)
            bias = torch.zeros(each.shape[2], dtype=each.dtype, device=each.device, requires_grad=True)
            minimise([shares, bias], partial(self._loss, each[:ran], shares, bias, labels))
            with torch.no_grad():
                self.weights[point][list(points[:ran])] = shares.to(self.weights[point].dtype)
                self.biases[point].copy_(bias)

    def _loss(
        self, each: torch.Tensor, shares: torch.Tensor, bias: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        answer = _geometric(each, shares, bias)
        size = shares.square().sum() + bias.square().sum()
        return F.nll_loss(answer.clamp_min(_SMALLEST_LOG), labels) + self.penalty * size


def _geometric(each: torch.Tensor, shares: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return the logarithm (B, K) of a weighted geometric mean of the probabilities of E exits.

    Args:
        each: (E, B, K) logarithms of probabilities.
        shares: (E,) logarithms of the weights, which are divided by E.
        bias: (K,) logarithm of the weight of each class.
    """
    weights = shares.exp().to(each.dtype)[:, None, None]
    return ((weights * each.clamp_min(_SMALLEST_LOG)).mean(dim=0) + bias.to(each.dtype)).log_softmax(dim=1)


@hookimpl
def edanas_inference_rules() -> dict[str, Callable[..., InferenceRule]]:
    """Register the rules whose heads read the exit before them."""
    return {"boosted": Boosted, "ztw": ZeroTimeWaste}
