"""Contract of threshold setters: calibration samples -> thresholds of a finished network."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from edanas.core.costs import Costs
from edanas.core.types import ExitProfile, SelectionScheme


@dataclass(frozen=True)
class Answers:
    """Logits of every exit for every calibration sample, with the labels.

    Args:
        logits: (S, E, K) float32; E exits with a head, ascending, the last exit's last.
        labels: (S,) int64.

    Example:
        >>> answers = Answers(np.zeros((5, 2, 3), np.float32), np.zeros(5, np.int64))
        >>> answers.logits.argmax(2).shape
        (5, 2)
    """

    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Calibration:
    """Results of a network without final thresholds on S calibration samples.

    Args:
        profile: A column for each of E exits with a head, the last exit's last.
        costs: Multiply-adds for one sample, by segment.
        scheme: The selection scheme of the search.
        given_up: The accuracy, as a fraction, that the candidate lost against its last exit in the search; 0
            where the search does not tell.
        answers: Returns logits and labels; the network runs only when this is called.
        tempered: Returns the profile with the logits of each of the E exits divided by a number above 0.

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


@dataclass(frozen=True)
class ThresholdChoice:
    """Result of a threshold setter.

    Args:
        scheme: The thresholds.
        temperatures: Divisors of the logits of each of the E exits from now on; empty = none.
        notes: Plain values for the network's description, e.g. the budget of a stream.

    Example:
        >>> ThresholdChoice(SelectionScheme((0.5, None))).scheme.placed
        (0,)
    """

    scheme: SelectionScheme
    temperatures: tuple[float, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


class ThresholdSetter(ABC):
    """Sets the thresholds of a finished network, on samples that serve no other purpose.

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

    @abstractmethod
    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """Return thresholds for the exits that `calibration.scheme` places; it places no others.

        Deterministic: the same calibration gives the same choice.

        Raises:
            CandidateError: These samples cannot meet the requirement; the text names the attainable value.
        """
