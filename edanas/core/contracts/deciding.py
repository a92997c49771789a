"""Contracts of confidence criteria and inference rules."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch

from edanas.core.contracts.capabilities import derive


class Formula(NamedTuple):
    """A confidence criterion or an inference rule as a known formula, for programs without Python.

    Args:
        name: For a criterion, one of `score-margin`, `max-probability`, `entropy` and `patience`. For a rule,
            one of `early-stop`, `mean-probability` and `mean-logit`.
        numbers: For `patience`, the number of agreeing exits. For `mean-probability`, the weight of each exit
            point and of the last exit; empty for equal weights.

    Example:
        >>> Formula("patience", (2.0,)).name
        'patience'
    """

    name: str
    numbers: tuple[float, ...] = ()


class ExitReader:
    """Base class of confidence criteria and inference rules, which read the logits of exits.

    An implementation that learns is an `nn.Module` too, and its weights are saved with the network. `build`
    returns one object for each network. The object learns with the network, through the training scheme's
    loss, or afterwards, in `fit`. Its multiply-adds count at each exit, and may not depend on the other
    placed exits.

    Example:
        >>> reader = ExitReader()
        >>> reader.build(classes=10, exit_points=4) is reader
        True
    """

    memory: bool = False
    """True if the result also depends on the logits of earlier exits.

    An exit profile then holds only for the exits that were placed when it was measured.
    """

    fits: bool = False
    """True if `fit` is implemented; a subclass that overrides `fit` gets this automatically."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        derive(cls, "fits", "fit")

    def build(self, classes: int, exit_points: int) -> Self:
        """Return the object for one network; fresh weights are drawn from torch's global generator.

        By default, it is this object.

        Args:
            classes: Number K of classes.
            exit_points: Number N of exit points; the last exit is number N.
        """
        return self

    def formula(self) -> Formula | None:
        """Return the formula of this object; `None`, the default, means that only Python computes it."""
        return None

    def fit(self, outputs: Sequence[torch.Tensor], labels: torch.Tensor, points: Sequence[int]) -> None:
        """Learn from samples on which the network was not trained; by default, do nothing.

        The result is deterministic.

        Args:
            outputs: Tensor (S, K) of each placed exit in the order in which exits run, for S samples. It
                holds logits for an inference rule, and the rule's outputs for a criterion.
            labels: Labels (S,) int64.
            points: Exit point of each tensor in `outputs`, from 0; N is the last exit.
        """


class ConfidenceCriterion(ExitReader, ABC):
    """Computes the confidence of an exit in its prediction.

    A criterion that uses the logits of one exit alone implements `__call__`; any other criterion derives from
    `SequenceCriterion`.

    Example:
        >>> class TopProbability(ConfidenceCriterion):
        ...     def __call__(self, logits):
        ...         return logits.softmax(1).amax(1)
        >>> TopProbability()(torch.zeros(1, 4))
        tensor([0.2500])
    """

    levels: tuple[float, ...] = ()
    """The confidences that thresholds tell apart, ascending and exact in float32, if they are few.

    The search and the threshold setters choose thresholds among them, so no sample exits at a confidence
    below the first one. Empty, the default: thresholds are any numbers in [0, 1].
    """

    cumulative: bool = False
    """True if the confidence is the probability that a sample exits here or at an earlier exit."""

    assigns: bool = False
    """True if `assign` is implemented; a subclass that overrides `assign` gets this automatically."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        derive(cls, "assigns", "assign")

    @abstractmethod
    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the confidence (B,) in [0, 1] for logits (B, K); larger means more certain.

        K may be 1, and logits may be infinite.
        """

    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """Return the confidence (B,) in [0, 1] of an exit, given earlier exits if `memory` is true.

        Args:
            answers: Logits (B, K) of the exit at the end of the sequence. If `memory` is true, the logits of
                the exits that ran before it precede them.
            points: Exit point of each tensor in `answers`, from 0; N is the last exit.
        """
        return self(answers[-1])

    def loss(
        self, answers: Sequence[torch.Tensor], points: Sequence[int], targets: torch.Tensor
    ) -> torch.Tensor | float:
        """Return a loss that is added to the training scheme's loss; 0 by default.

        Args:
            answers: Logits (B, K) of each exit that runs.
            points: Exit point of each tensor in `answers`, from 0; N is the last exit.
            targets: Labels (B,) int64, or a teacher's probabilities (B, K).
        """
        return 0.0

    def assign(
        self,
        outputs: Sequence[torch.Tensor],
        labels: torch.Tensor,
        points: Sequence[int],
        costs: Sequence[float],
        budget: float,
    ) -> tuple[float, ...]:
        """Learn confidences as in `fit`, together with the share of samples that each exit should get.

        The result is deterministic.

        Args:
            outputs: See `fit`.
            labels: See `fit`.
            points: See `fit`.
            costs: Multiply-adds of a sample that exits at each of the exits `points`, ascending.
            budget: Multiply-adds per sample on average at which the shares should aim.

        Returns:
            The share of samples for each of the exits `points`; the sum is 1.
        """
        raise NotImplementedError


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
        """Return the confidence (B,) at exit point 0, without earlier exits; see `after`."""
        return self.after((logits,), (0,))

    @abstractmethod
    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `ConfidenceCriterion.after`."""


class InferenceRule(ExitReader, ABC):
    """Computes the network's output for samples at the exit where they exit.

    Example:
        >>> class Last(InferenceRule):
        ...     def __call__(self, logits, points):
        ...         return logits[-1]
        >>> Last()([torch.zeros(1, 2), torch.ones(1, 2)], [0, 1])
        tensor([[1., 1.]])
    """

    corrects: bool = False
    """True if `corrected` is implemented; a subclass that overrides `corrected` gets this automatically.

    Such a rule has a memory. The network is trained on the corrected logits, and the rule's weights with it.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        derive(cls, "corrects", "corrected")

    def corrected(self, logits: torch.Tensor, earlier: torch.Tensor | None, point: int) -> torch.Tensor:
        """Return the logits (B, K) of an exit that take the exit before it into account.

        The rule, the criterion and later exits read the corrected logits only. An exit that does not depend
        on the exit before it has the object `logits` itself as its result, as every exit has by default.

        Args:
            logits: Logits (B, K) of the head.
            earlier: Corrected logits (B, K) of the placed exit before this exit; `None` at the first exit.
            point: The exit point, from 0; N is the last exit.
        """
        return logits

    def corrected_for_training(
        self, logits: Sequence[torch.Tensor], points: Sequence[int]
    ) -> list[torch.Tensor]:
        """Return the corrected logits (B, K) of each exit; no gradient flows into an earlier exit.

        Args:
            logits: Logits (B, K) of each exit that runs, in order.
            points: Exit point of each tensor in `logits`, from 0; N is the last exit.
        """
        results: list[torch.Tensor] = []
        for each, point in zip(logits, points, strict=True):
            results.append(self.corrected(each, results[-1].detach() if results else None, point))
        return results

    @abstractmethod
    def __call__(self, logits: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """Return the network's output as logits (B, K).

        The class with the largest logit is the prediction; confidence criteria read all logits.

        Args:
            logits: Logits (B, K) of the exit at the end of the sequence, which may be infinite. If `memory`
                is true, the logits of the exits that ran before it precede them. All are corrected.
            points: Exit point of each tensor in `logits`, from 0; N is the last exit.
        """
