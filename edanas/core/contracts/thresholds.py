"""The contract of threshold setting: from calibration samples to the thresholds of a finished network."""

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
    """What every exit says about every calibration sample, and what is right.

    Args:
        logits: (S, E, K) float32; E exits with a head, ascending, the last exit's last.
        labels: (S,) int64.
    """

    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Calibration:
    """What a network that is to get thresholds does on S calibration samples.

    Args:
        profile: A column for each of E exits with a head, the last exit's last.
        costs: Multiply-adds for one sample, by segment.
        scheme: As the search had it.
        given_up: How much accuracy the search's trade-off gave up against the last exit, a fraction; 0 where
            it says nothing about that.
        answers: Gives logits and labels; the network runs when this is called, and not before.
        tempered: Gives the profile with each of the E exits' logits divided by a number above 0 of its own.
    """

    profile: ExitProfile
    costs: Costs
    scheme: SelectionScheme
    given_up: float
    answers: Callable[[], Answers]
    tempered: Callable[[Sequence[float]], ExitProfile]


@dataclass(frozen=True)
class ThresholdChoice:
    """What a threshold setter made of calibration samples.

    Args:
        scheme: The thresholds.
        temperatures: What each of the E exits' logits is divided by from now on; empty = nothing.
        notes: Plain values that the network's description keeps, e.g. how a stream is to hold a budget.
    """

    scheme: SelectionScheme
    temperatures: tuple[float, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


class ThresholdSetter(ABC):
    """How the thresholds of a finished network are set, on samples that are used for nothing else.

    `resets` says whether thresholds are set at all. If not, the network keeps those that the search gave it,
    and no calibration sample is looked at.
    """

    resets: ClassVar[bool] = True

    @abstractmethod
    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """Thresholds for the exits that `calibration.scheme` places; others are not placed.

        The same calibration gives the same choice.

        Raises:
            CandidateError: What was asked cannot be had on these samples; the text says what can.
        """
