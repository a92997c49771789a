"""The division of time among the networks that a run finishes."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from edanas.training.pace import Pace

_TINY = 0.25
"""Share of the largest network's MACs that is added to those of each: small networks are less efficient."""

_OVERHEAD = 0.5
"""Largest share of the remaining time for calibration, export and test; it limits the number of networks."""


class NetworkPlan(Protocol):
    """The plan of a run with a time limit, as far as the trainings of single networks use it."""

    def remaining(self) -> float:
        """Return the remaining time of the run in seconds."""

    def decided(self, name: str, decide: Callable[[], Any]) -> Any:
        """Return the value that the plan stores under `name`, or store the result of `decide`."""

    def network_pace(self, candidate: str, limit: float) -> Pace:
        """Return the pace of a network's training from its id and the seconds of the training."""


class FinishTime:
    """The time of each network's training, from the remaining time and the networks still to be finished.

    Args:
        remaining: Returns the remaining time of the run in seconds.
        pace: Returns the pace of a training from the candidate's id and the seconds of the training.
        overhead: Expected seconds that a network takes besides its training.
        later: Number of networks that are finished after those of the present call.

    Example:
        >>> time = FinishTime(lambda: 100.0, lambda name, limit: Pace(limit), overhead=5.0, later=1)
        >>> time.begin([1e6, 1e6])
        >>> round(time.start("a").limit, 1)
        28.3
    """

    def __init__(
        self,
        remaining: Callable[[], float],
        pace: Callable[[str, float], Pace],
        overhead: float,
        later: int,
    ) -> None:
        self.remaining, self.pace, self.overhead, self.later = remaining, pace, overhead, later
        self._measured: list[float] = []
        self._left: list[float] = []
        self._largest = 1.0

    def begin(self, macs: Sequence[float]) -> None:
        """Set the multiply-adds of the networks to finish next, in order."""
        self._largest = max([*macs, 1.0])
        self._left = [self._weight(each) for each in macs]

    def start(self, candidate: str) -> Pace:
        """Return the pace of the training of the next network, whose id is `candidate`."""
        own, mean = self._left[0], sum(self._left) / len(self._left)
        time = max(0.0, self.remaining() - self.overhead * (len(self._left) + self.later))
        share = own / (sum(self._left) + self.later * mean)
        return self.pace(candidate, time * share if math.isfinite(time) else time)

    def end(self) -> None:
        """Take the next network off the networks to finish."""
        self._left = self._left[1:]

    def measured(self, overhead: float) -> None:
        """Record the seconds that a network took besides its training."""
        self._measured.append(overhead)
        self.overhead = sum(self._measured) / len(self._measured)

    def affordable(self, networks: int) -> int:
        """Return the number of networks whose calibration, export and test take at most half of the time.

        Args:
            networks: The largest number.
        """
        return int(max(1, min(networks, _OVERHEAD * self.remaining() // max(self.overhead, 1e-3))))

    def _weight(self, macs: float) -> float:
        return macs + _TINY * self._largest
