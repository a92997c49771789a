"""How many steps a training takes, how far it is at each, and how long it may go on now."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

DRIFT = 0.05
"""A schedule is made anew where the training would end this much earlier or later than it should."""


@dataclass(frozen=True)
class Schedule:
    """A training's length, which can be changed on the way: it goes on from where it is.

    Args:
        steps: Of the whole training.
        since: The step at which this was made.
        position: How far the training was by then, a share.
    """

    steps: int
    since: int = 0
    position: float = 0.0

    def done(self, step: float) -> float:
        """The share of the training that is behind at `step`: from `position` in a straight line to 1."""
        if self.steps <= self.since:
            return 1.0
        return self.position + (1 - self.position) * (step - self.since) / (self.steps - self.since)

    def refitted(self, step: int, seconds: float, total: float, each: float) -> "Schedule":
        """The schedule that ends after `total` seconds; itself where it nearly does.

        Args:
            step: Steps done.
            seconds: What they took.
            total: What the whole training may take.
            each: Seconds that a step takes.
        """
        steps = max(1, step + math.floor(max(0.0, total - seconds) / each))
        if abs(steps - self.steps) <= DRIFT * (self.steps - step):
            return self
        return Schedule(steps, step, self.done(step))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Schedule":
        """The inverse of `to_dict`."""
        return cls(int(values["steps"]), int(values["since"]), float(values["position"]))


@dataclass
class TrainingSpeed:
    """How fast a training went.

    Args:
        images: That passed through all backbones of a step.
        seconds: What that took.
        input_seconds: Of them, spent on making batches; on a GPU, on ordering them to be made.
    """

    images: int = 0
    seconds: float = 0.0
    input_seconds: float = 0.0

    @property
    def images_per_second(self) -> float:
        """0 where nothing was trained."""
        return self.images / self.seconds if self.seconds else 0.0

    @property
    def input_share(self) -> float:
        """0 where nothing was trained."""
        return self.input_seconds / self.seconds if self.seconds else 0.0


class TimeSlice:
    """The time that a training has now; it ends between two steps, early enough for one more to fit.

    Args:
        limit: Seconds from now; infinite where nobody waits.
    """

    def __init__(self, limit: float = math.inf) -> None:
        self.limit, self.start = limit, time.monotonic()
        self._asked, self._latest, self._longest = 0, self.start, 0.0

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.start

    def is_over(self) -> bool:
        """Asked before each step: whether there is no time for another as long as the longest so far.

        The first one does not count, in which kernels are made; so the second is begun if there is any time.
        """
        now = time.monotonic()
        if self._asked > 1:
            # What came before the first step, reading the data say, is no step.
            self._longest = max(self._longest, now - self._latest)
        self._asked, self._latest = self._asked + 1, now
        return now - self.start + self._longest > self.limit
