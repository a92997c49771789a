"""Contract of threshold setters: calibration samples -> thresholds of a finished network."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from edanas.core.costs import Costs
from edanas.core.types import ExitProfile, SelectionScheme


@dataclass(frozen=True)
class Answers:
    """Logits of every exit for every calibration sample, with the labels.

    Args:
        logits: Logits (S, E, K) float32 of S samples and K classes. The E exits are the exits with a head,
            ascending, and then the last exit.
        labels: Labels (S,) int64.
        outputs: Outputs (S, E, K) of the inference rule at the exits of the calibration's profile; `None`,
            the default, if they are the logits.

    Example:
        >>> answers = Answers(np.zeros((5, 2, 3), np.float32), np.zeros(5, np.int64))
        >>> answers.logits.argmax(2).shape
        (5, 2)
    """

    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    outputs: npt.NDArray[np.float32] | None = None


class Rescaling(NamedTuple):
    """Numbers by which an exit's logits are multiplied, and numbers that are then added.

    Args:
        factors: K factors, one for each class.
        offsets: K offsets.

    Example:
        >>> Rescaling((1.0, 2.0), (0.0, -0.5)).factors
        (1.0, 2.0)
    """

    factors: tuple[float, ...]
    offsets: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """Results of a network without final thresholds on S calibration samples.

    Args:
        profile: Exit profile with a column for each of E exits: the exits with a head, then the last exit.
        costs: Multiply-adds for one sample, by segment.
        scheme: The selection scheme that the search chose.
        given_up: Accuracy, as a fraction, that the candidate lost in the search compared with its last exit
            alone; 0 if unknown.
        answers: Returns the logits and labels. The network runs only when this function is called.
        tempered: Takes E temperatures, numbers above 0, and returns the exit profile for logits that are
            divided by the temperature of their exit.
        assigned: Takes a budget, in multiply-adds per sample. Fits the network's criterion for it, and
            returns the new exit profile and the share of samples for each exit; see
            `ConfidenceCriterion.assign`. `None`, the default, means that the criterion has no such method.
        rescaled: Takes a rescaling for each early exit, and returns the exit profile for rescaled logits.
            `None`, the default, means that the heads cannot be rescaled.

    Example:
        >>> from edanas.testing.setters import toy_calibration
        >>> toy_calibration((0.5, 0.5), 40).profile.confidence.shape
        (40, 3)
    """

    profile: ExitProfile
    costs: Costs
    scheme: SelectionScheme
    given_up: float
    answers: Callable[[], Answers]
    tempered: Callable[[Sequence[float]], ExitProfile]
    assigned: Callable[[float], tuple[ExitProfile, tuple[float, ...]]] | None = None
    rescaled: Callable[[Sequence[Rescaling]], ExitProfile] | None = None


@dataclass(frozen=True)
class ThresholdChoice:
    """Result of a threshold setter.

    Args:
        scheme: The selection scheme with the chosen thresholds.
        temperatures: Number by which the network divides the logits of each of the E exits from now on;
            empty, the default, means no division.
        notes: Values by name for the network's description, in JSON's types, e.g. the budget of a stream.
        rescalings: Rescaling of each early exit with a head, which the head's last layer takes up; empty, the
            default, means none.

    Example:
        >>> ThresholdChoice(SelectionScheme((0.5, None))).scheme.placed
        (0,)
    """

    scheme: SelectionScheme
    temperatures: tuple[float, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    rescalings: tuple[Rescaling, ...] = ()


class ThresholdSetter(ABC):
    """Sets the thresholds of a finished network on the calibration part, which serves no other purpose.

    Example:
        >>> class Half(ThresholdSetter):
        ...     def choose(self, calibration):
        ...         thresholds = (0.5 if t is not None else None for t in calibration.scheme.thresholds)
        ...         return ThresholdChoice(SelectionScheme(tuple(thresholds)))
        >>> from edanas.testing.setters import toy_calibration
        >>> Half().choose(toy_calibration((0.9, None), 40)).scheme.thresholds
        (0.5, None)
    """

    resets: ClassVar[bool] = True
    """False if the network keeps the thresholds of the search; no calibration sample is then used."""

    fixed: ClassVar[bool] = False
    """True if a guarantee holds for the chosen thresholds only.

    Exits are then not removed afterwards, and the calibration samples have no augmented copies.
    """

    assigns: ClassVar[bool] = False
    """True if the setter calls `Calibration.assigned`; the criterion must have the method `assign`."""

    max_macs: float = math.inf
    """Budget of executed multiply-adds per sample that the thresholds keep; infinite = no budget."""

    least_samples: int = 0
    """Smallest number of calibration samples with which the setter can succeed; runs check it at first."""

    @abstractmethod
    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """Return thresholds for exits that `calibration.scheme` places; no other exit gets a threshold.

        The result is deterministic: the same calibration gives the same choice.

        Args:
            calibration: The network's results on the calibration samples.

        Raises:
            CandidateError: The setter's requirement cannot be met on the samples; the message names the
                attainable value.
        """
