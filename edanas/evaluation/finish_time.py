"""The division of time among the networks that a run finishes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from edanas.evaluation.network_trainer import BACKWARD
from edanas.training.pace import Pace

_TINY = 0.25
"""Share of the largest network's work that is added to that of each: small networks are less efficient."""

_OVERHEAD = 0.5
"""Largest expected share of the remaining time for calibration, export and test of all networks."""


LEAST_EPOCHS, LEAST_ALONE = 20, 4
"""Least epochs of each result in a run with a time limit; in a space of several backbones, and of one.

If they do not fit, the run has fewer results. The weights of a single backbone are trained for long already.
It was measured with 1,200 training photographs, in one run each of 270 seconds of one core. Networks of 5 to
10 epochs had 52.5% at 5.0M multiply-adds on the 200 validation images. With this rule, they had 61.0% at
5.4M. The interval is seven points wide on each side.
"""


class NetworkPlan(Protocol):
    """The plan of a run with a time limit, as far as the trainings of single networks use it."""

    def remaining(self) -> float:
        """Return the remaining time of the run in seconds."""

    def decided(self, name: str, decide: Callable[[], Any]) -> Any:
        """Return the value that the plan stores under `name`, or store the result of `decide`."""

    def network_pace(self, candidate: str, limit: float) -> Pace:
        """Return the pace of a network's training from its id and the seconds of the training."""


def least_training(epochs: int, seconds: float, *, single: bool) -> float:
    """Return the expected seconds of the shortest training that a result should get.

    Args:
        epochs: The setting `finetune.epochs`.
        seconds: Time of a pass of all training images, forward.
        single: The space has one backbone.

    Example:
        >>> least_training(40, 0.5, single=False)
        30.0
    """
    return BACKWARD * seconds * min(epochs, LEAST_ALONE if single else LEAST_EPOCHS)


class FinishTime:
    """The time of each network's training, from the remaining time and the networks still to be finished.

    Args:
        remaining: Returns the remaining time of the run in seconds.
        pace: Returns the pace of a training from the candidate's id and the seconds of the training.
        overhead: Expected seconds that a network takes besides its training.
        workers: Number of networks that are finished at once.

    Attributes:
        later: Work of the networks that are expected after those of `begin`; empty by default. Early-exit and
            single-exit networks then train for about as many steps.

    Example:
        >>> time = FinishTime(lambda: 100.0, lambda name, limit: Pace(limit), overhead=5.0)
        >>> time.later = [1e6]
        >>> time.begin([1e6, 1e6])
        >>> round(time.start("a").limit, 1)
        28.3
    """

    def __init__(
        self,
        remaining: Callable[[], float],
        pace: Callable[[str, float], Pace],
        overhead: float,
        workers: int = 1,
    ) -> None:
        self.remaining, self.pace, self.overhead = remaining, pace, overhead
        self.workers = workers
        self.later: Sequence[float] = ()
        self._is_measured = False
        self._left: list[float] = []
        self._after: list[float] = []
        self._running: dict[str, Pace] = {}

    def begin(self, work: Sequence[float]) -> None:
        """Set the work of the networks to finish next, in order: multiply-adds for one sample."""
        tiny = _TINY * max([*work, *self.later, 1.0])
        self._left, self._after = ([each + tiny for each in group] for group in (work, self.later))

    def start(self, candidate: str) -> Pace:
        """Return the pace of the training of the next network, whose id is `candidate`."""
        waiting = [*self._left, *self._after]
        busy = sum(self.overhead + pace.left() for pace in self._running.values())
        # The last networks run beside fewer others than there are workers.
        workers = min(self.workers, len(self._running) + len(waiting))
        time = max(0.0, workers * self.remaining() - busy)
        overhead = self.overhead * len(waiting)
        # An expectation that no network has confirmed may be far too high.
        time -= min(overhead, time if self._is_measured else _OVERHEAD * time)
        share = waiting[0] / sum(waiting)
        limit = time * share if math.isfinite(time) else time
        self._left = self._left[1:]
        pace = self.pace(candidate, min(limit, max(0.0, self.remaining() - self.overhead)))
        self._running[candidate] = pace
        return pace

    def end(self, candidate: str, fits: Mapping[int, int], overhead: float) -> None:
        """Record a network that is finished or failed.

        Args:
            candidate: The id of the candidate.
            fits: The fits of its training's pace, perhaps in another process.
            overhead: Seconds that the network took besides its training; 0 = unknown.
        """
        pace = self._running.pop(candidate)
        if fits:
            pace.record(fits)
        if overhead:
            # The latest: the first includes imports, and later networks have less work.
            self.overhead, self._is_measured = overhead, True

    def affordable(self, networks: int, training: float = 0.0) -> int:
        """Return the number of networks that can be finished, one or more.

        Their calibration, export and test take at most half of the time, and each is trained for `training`.

        Args:
            networks: The largest number.
            training: Expected seconds of the shortest training that a network should get.
        """
        time, overhead = self.workers * self.remaining(), max(self.overhead, 1e-3)
        if math.isinf(time):
            return networks
        fitting = min(_OVERHEAD * time // overhead, time // (overhead + training))
        return int(max(1, min(networks, fitting)))
