"""Contracts of confidence criteria and inference rules."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import torch

from edanas.core.contracts.capabilities import derive


class ExitReader:
    """Base of criteria and rules: computes on the logits of the exits that ran for each sample.

    An implementation that learns is an `nn.Module` too, and its weights are saved with the network's. `build`
    gives each network its own copy. It learns with the network, through the training scheme's loss, or
    afterwards, in `fit`. Its multiply-adds count at each exit, and may not depend on the other placed exits.

    Example:
        >>> reader = ExitReader()
        >>> reader.build(classes=10, exit_points=4) is reader
        True
    """

    memory: bool = False
    """True if earlier exits count as well. An exit profile then holds only for the exits placed in it."""

    fits: bool = False
    """True if `fit` is implemented. A subclass that overrides `fit` need not declare it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        derive(cls, "fits", "fit")

    def build(self, classes: int, exit_points: int) -> Self:
        """Return the object for one network; fresh weights are drawn from torch's global generator.

        Args:
            classes: K.
            exit_points: N; the last exit is number N.
        """
        return self

    def fit(self, outputs: Sequence[torch.Tensor], labels: torch.Tensor, points: Sequence[int]) -> None:
        """Learn from samples that the network was not trained on; deterministic. By default a no-op.

        Args:
            outputs: (S, K) of each placed exit, in the order in which they run: logits for an inference
                rule, the rule's outputs for a criterion.
            labels: (S,) int64.
            points: The exits' numbers.
        """


class ConfidenceCriterion(ExitReader, ABC):
    """Confidence of an exit in its prediction.

    A criterion that uses one exit alone implements `__call__`; any other is a `SequenceCriterion`.

    Example:
        >>> class TopProbability(ConfidenceCriterion):
        ...     def __call__(self, logits):
        ...         return logits.softmax(1).amax(1)
        >>> TopProbability()(torch.zeros(1, 4))
        tensor([0.2500])
    """

    @abstractmethod
    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) -> confidence (B,) in [0, 1], larger = surer, also for K = 1 and infinities."""

    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """Return the confidence (B,) of the last of several exits, as a call does.

        Args:
            answers: (B, K) logits, this exit's last. The exits that ran before precede them if `memory` is
                true.
            points: The exits' numbers, from 0; N is the last exit.
        """
        return self(answers[-1])

    def loss(
        self, answers: Sequence[torch.Tensor], points: Sequence[int], targets: torch.Tensor
    ) -> torch.Tensor | float:
        """Return the criterion's own loss, which is added to the training scheme's; 0 by default.

        Args:
            answers: (B, K) logits of the exits that run.
            points: The exits' numbers.
            targets: Labels (B,) int64, or a teacher's probabilities (B, K).
        """
        return 0.0


class SequenceCriterion(ConfidenceCriterion):
    """A criterion that depends on the exit's number, or on the logits of earlier exits.

    Example:
        >>> class Later(SequenceCriterion):
        ...     def after(self, answers, points):
        ...         return torch.full((len(answers[-1]),), points[-1] / 10)
        >>> Later().after([torch.zeros(1, 4)], [5])
        tensor([0.5000])
    """

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """As `after`, for exit point 0 without earlier exits."""
        return self.after((logits,), (0,))

    @abstractmethod
    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `ConfidenceCriterion.after`."""


class InferenceRule(ExitReader, ABC):
    """The network's output for a sample that exits at an exit.

    Example:
        >>> class Last(InferenceRule):
        ...     def __call__(self, logits, points):
        ...         return logits[-1]
        >>> Last()([torch.zeros(1, 2), torch.ones(1, 2)], [0, 1])
        tensor([[1., 1.]])
    """

    @abstractmethod
    def __call__(self, logits: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """Return the output as logits (B, K); the largest is the label, and criteria use all of them.

        Args:
            logits: (B, K) floats, this exit's last. The exits that ran before precede them if `memory` is
                true. Infinities are treated as in `ConfidenceCriterion`.
            points: The exits' numbers, from 0; N is the last exit.
        """
