"""Contracts of when to stop and what to answer: confidence criteria and inference rules."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import torch

from edanas.core.contracts.capabilities import derive


class ExitReader:
    """Reads what the exits that ran say of each sample.

    One that learns is an `nn.Module` too, whose weights are saved with the network's; `build` gives each
    network one of its own. It learns with the network, through the training scheme's loss, or after that, in
    `fit`. Its multiply-adds count at each exit, and may not depend on which other exits stand.
    """

    memory: bool = False
    """Whether earlier exits count as well. An exit profile then holds only for the very exits that stood."""

    fits: bool = False
    """Whether `fit` is implemented. A subclass that overrides `fit` need not declare it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        derive(cls, "fits", "fit")

    def build(self, classes: int, exit_points: int) -> Self:
        """One for a single network; fresh weights, if any, are drawn from torch's global generator.

        Args:
            classes: K.
            exit_points: N; the last exit is number N.
        """
        return self

    def fit(self, said: Sequence[torch.Tensor], labels: torch.Tensor, points: Sequence[int]) -> None:
        """Learn from samples that the network was not trained on; the same samples teach the same.

        By default nothing is.

        Args:
            said: (S, K) of each exit that stands, in the order in which they run: logits for an inference
                rule, answers for a criterion.
            labels: (S,) int64.
            points: The exits' numbers.
        """


class ConfidenceCriterion(ExitReader, ABC):
    """How sure an exit is of its answer.

    One that looks at this exit alone is its `__call__`; any other is a `SequenceCriterion`.
    """

    @abstractmethod
    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) -> confidence (B,) in [0, 1], larger = surer, also for K = 1 and infinities."""

    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """Confidence (B,) in the last of some exits' answers, as in a call.

        Args:
            answers: (B, K) logits, this exit's last; before it, if `memory` says so, those of the exits that
                ran before.
            points: The exits' numbers, from 0; N is the last exit.
        """
        return self(answers[-1])

    def loss(
        self, answers: Sequence[torch.Tensor], points: Sequence[int], targets: torch.Tensor
    ) -> torch.Tensor | float:
        """What it learns by while the network trains, beside the training scheme's loss; by default nothing.

        Args:
            answers: (B, K) logits of the exits that run.
            points: The exits' numbers.
            targets: Labels (B,) int64, or a teacher's probabilities (B, K).
        """
        return 0.0


class SequenceCriterion(ConfidenceCriterion):
    """A criterion that asks which exit it is, or what earlier ones answered."""

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """As `after`, of exit point 0 with nothing before it."""
        return self.after((logits,), (0,))

    @abstractmethod
    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `ConfidenceCriterion.after`."""


class InferenceRule(ExitReader, ABC):
    """What the network answers for a sample that leaves at an exit."""

    @abstractmethod
    def __call__(self, logits: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """The answer as logits (B, K); the largest is the label, and criteria look at all.

        Args:
            logits: (B, K) floats, this exit's last; before it, if `memory` says so, those of the exits that
                ran before. Infinities count as in `ConfidenceCriterion`.
            points: The exits' numbers, from 0; N is the last exit.
        """
