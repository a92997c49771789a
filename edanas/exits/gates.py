"""Confidence criteria that are trained with the network: a small network, the gate, at each exit."""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts import ConfidenceCriterion, SequenceCriterion
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.exits.criteria import Entropy, MaxProbability, ScoreMargin, probabilities

_MEASURES = 4
"""Number of the inputs of an `UncertaintyGate`."""


class LearnedGate(SequenceCriterion, nn.Module):
    """The output of a small network at each exit, the gate, trained with the network.

    The method is differentiable branching. An exit's gate, in [0, 1], is the weight of the exit's answer in a
    mixture with the answers of all later exits (Eq. 2 of the paper). The loss on the mixture trains exits and
    gates; the training scheme `joint-combined` computes it. A second loss trains the gates alone, under any
    training scheme: the cross-entropy between a gate and the correctness of its exit.

    A gate has one hidden layer and reads the exit's class probabilities in falling order. Therefore one gate
    fits every backbone of a supernet.

    Source: Scardapane, Comminiello, Scarpiniti, Baccarelli and Uncini, "Differentiable branching in deep
    networks for fast inference", ICASSP 2020.

    Args:
        hidden: Number of units of the hidden layer.
        own: Weight of the second loss, the cross-entropy with correctness; 0 leaves that loss out.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> gates = LearnedGate(hidden=4).build(classes=10, exit_points=2)
        >>> gates.after([torch.zeros(3, 10)], points=(0,)).shape
        torch.Size([3])
    """

    def __init__(self, hidden: int = 16, own: float = 1.0) -> None:
        super().__init__()
        if hidden < 1:
            raise ConfigError(f"criterion.hidden: found {hidden}; allowed: 1 or more")
        if not 0 <= own < float("inf"):
            raise ConfigError(f"criterion.own: found {own}; allowed: a number >= 0")
        self.hidden, self.own = hidden, own
        self.gates = nn.ModuleList()

    def build(self, classes: int, exit_points: int) -> "LearnedGate":
        """See `ExitReader.build`. The result has a gate for each exit point and one for the last exit."""
        criterion = LearnedGate(self.hidden, self.own)
        for _ in range(exit_points + 1):
            layers = nn.Linear(classes, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1)
            criterion.gates.append(nn.Sequential(*layers))
        return criterion

    def features(self, answer: torch.Tensor) -> torch.Tensor:
        """Return the input of a gate for logits (B, K): the class probabilities (B, K) in falling order."""
        return probabilities(answer).topk(answer.shape[1], dim=1).values

    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `SequenceCriterion.after`."""
        return self._gate_logit(answers[-1], points[-1]).sigmoid()

    def loss(
        self, answers: Sequence[torch.Tensor], points: Sequence[int], targets: torch.Tensor
    ) -> torch.Tensor | float:
        """See `ConfidenceCriterion.loss`. The loss is the mean over exits."""
        if not self.own:
            return 0.0
        labels = targets if targets.ndim == 1 else targets.argmax(dim=1)
        losses = []
        for answer, point in zip(answers, points, strict=True):
            fixed = answer.detach()
            gate_logits = self._gate_logit(fixed, point)
            correct = (fixed.argmax(dim=1) == labels).to(gate_logits.dtype)
            losses.append(F.binary_cross_entropy_with_logits(gate_logits, correct))
        return self.own * torch.stack(losses).mean()

    def _gate_logit(self, answer: torch.Tensor, point: int) -> torch.Tensor:
        """Return the output (B,), before the sigmoid, of the gate at exit point `point`."""
        gate = self.gates[point]
        outputs: torch.Tensor = gate(self.features(answer).to(next(gate.parameters()).dtype))
        return outputs[:, 0]


class UncertaintyGate(LearnedGate):
    """The output of a linear gate that reads four measures of an exit's uncertainty (JEI-DNN).

    The measures are the criteria `max-probability`, `score-margin` and `entropy`, and `entropy` for squared
    and normalised class probabilities. The training scheme
    `jei-dnn` trains the gates to exit where that is cheapest; set `own` to 0 with that scheme. With any other
    scheme, the loss of `learned-gate` trains them.

    Source: Regol, Chataoui and Coates, "Jointly-learned exit and inference for a dynamic neural network",
    ICLR 2024.

    Args:
        own: Weight of the cross-entropy between a gate and the correctness of its exit; 0 leaves it out.

    Raises:
        ConfigError: `own` is negative or not finite.

    Example:
        >>> UncertaintyGate().build(classes=4, exit_points=2).features(torch.zeros(1, 4))
        tensor([[0.2500, 0.0000, 0.0000, 0.0000]])
    """

    def __init__(self, own: float = 1.0) -> None:
        super().__init__(own=own)

    def build(self, classes: int, exit_points: int) -> "UncertaintyGate":
        """See `ExitReader.build`. The result has a gate for each exit point and one for the last exit."""
        criterion = UncertaintyGate(self.own)
        criterion.gates.extend(nn.Linear(_MEASURES, 1) for _ in range(exit_points + 1))
        return criterion

    def features(self, answer: torch.Tensor) -> torch.Tensor:
        """Return the measures (B, 4), all in [0, 1] and larger for a more certain exit, for logits (B, K)."""
        # Twice the logits are those of the squared probabilities.
        entropies = Entropy()(answer), Entropy()(2 * answer)
        return torch.stack([MaxProbability()(answer), ScoreMargin()(answer), *entropies], dim=1)


class CumulativeGate(LearnedGate):
    """The probability that a sample exits here or earlier, by the gates of all exits so far (NACHOS).

    With gates b_j, the confidence at exit n is 1 minus the product of 1 - b_j over the placed exits j up to
    n. The loss of a gate is the cross-entropy with the correctness of its exit, in which correct and wrong
    samples of a batch have equal weights in sum. The last exit has no gate.

    In the source a gate is one more output of the exit's classifier. Here it reads the class probabilities,
    as the gates of `learned-gate`. The gates of earlier exit points run again at each exit, and count in its
    cost.

    Source: Gambella, Pomponi, Scardapane and Roveri, "NACHOS: Neural architecture search for hardware
    constrained early exit neural networks", arXiv 2401.13330.

    Args:
        hidden: Number of units of a gate's hidden layer.
        own: Weight of the loss of the gates; 0 leaves it out.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> gates = CumulativeGate(hidden=4).build(classes=10, exit_points=2)
        >>> first, second = (gates.after([torch.zeros(1, 10)] * ran, (0, 1)[:ran]) for ran in (1, 2))
        >>> bool(first < second)
        True
    """

    memory = True
    cumulative = True

    def build(self, classes: int, exit_points: int) -> "CumulativeGate":
        """See `ExitReader.build`."""
        criterion = CumulativeGate(self.hidden, self.own)
        criterion.gates = super().build(classes, exit_points).gates
        return criterion

    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `SequenceCriterion.after`."""
        ran = dict(zip(points, answers, strict=True))
        passes = torch.ones_like(probabilities(answers[-1])[:, 0])
        for point in range(points[-1] + 1):
            # The gate of an exit point without an exit runs, too, so that costs do not depend on the scheme.
            gate = self._gate_logit(ran.get(point, answers[-1]), point).sigmoid()
            passes = passes * (1 - gate) if point in ran else passes
        return 1 - passes

    def loss(
        self, answers: Sequence[torch.Tensor], points: Sequence[int], targets: torch.Tensor
    ) -> torch.Tensor | float:
        """See `ConfidenceCriterion.loss`. The loss is the mean over exits."""
        last = len(self.gates) - 1
        early = [
            (answer.detach(), point) for answer, point in zip(answers, points, strict=True) if point < last
        ]
        if not self.own or not early:
            return 0.0
        labels = targets if targets.ndim == 1 else targets.argmax(dim=1)
        losses = []
        for answer, point in early:
            gate_logits = self._gate_logit(answer, point)
            correct = (answer.argmax(dim=1) == labels).to(gate_logits.dtype)
            count = correct.sum()
            weights = torch.where(
                correct > 0, 0.5 / count.clamp_min(1), 0.5 / (len(labels) - count).clamp_min(1)
            )
            each = F.binary_cross_entropy_with_logits(gate_logits, correct, reduction="none")
            losses.append((weights * each).sum())
        return self.own * torch.stack(losses).mean()


@hookimpl
def edanas_confidence_criteria() -> dict[str, Callable[..., ConfidenceCriterion]]:
    """Register the gates by their names."""
    return {
        "learned-gate": LearnedGate,
        "uncertainty-gate": UncertaintyGate,
        "cumulative-gate": CumulativeGate,
    }
