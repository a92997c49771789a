"""Length, progress and speed of a training, and the time available to it."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

DRIFT = 0.05
"""Share of the remaining steps by which a plan may differ from the time limit before it is changed."""


@dataclass(frozen=True)
class Schedule:
    """The length of a training, which can change during the training without a jump in its progress.

    Args:
        steps: Steps of the whole training.
        since: The step at which this schedule was made.
        position: The progress at that step, from 0 to 1.

    Example:
        >>> Schedule(steps=10).done(5)
        0.5
        >>> Schedule(steps=10).refitted(5, seconds=5.0, total=20.0, each=1.0)
        Schedule(steps=20, since=5, position=0.5)
    """

    steps: int
    since: int = 0
    position: float = 0.0

    def done(self, step: float) -> float:
        """Return the progress at `step`, which rises linearly from `position` to 1."""
        if self.steps <= self.since:
            return 1.0
        return self.position + (1 - self.position) * (step - self.since) / (self.steps - self.since)

    def refitted(self, step: int, seconds: float, total: float, each: float) -> "Schedule":
        """Return the schedule that ends after `total` seconds; this one if its end is close to that.

        Args:
            step: Completed steps.
            seconds: Time of the completed steps.
            total: Time for the whole training in seconds.
            each: Seconds per step.
        """
        steps = max(1, step + math.floor(max(0.0, total - seconds) / each))
        if abs(steps - self.steps) <= DRIFT * (self.steps - step):
            return self
        return Schedule(steps, step, self.done(step))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Schedule":
        """Return the schedule with the fields that `to_dict` returned."""
        return cls(int(values["steps"]), int(values["since"]), float(values["position"]))


@dataclass
class TrainingSpeed:
    """The speed of a training.

    Args:
        images: Number of training images processed.
        seconds: Time for them.
        input_seconds: Part of that time that was spent on preparing batches; on a GPU, on launching kernels
            for it.
    """

    images: int = 0
    seconds: float = 0.0
    input_seconds: float = 0.0

    @property
    def images_per_second(self) -> float:
        """Training images per second; 0 before the first step."""
        return self.images / self.seconds if self.seconds else 0.0

    @property
    def input_share(self) -> float:
        """Share of the time that was spent on preparing batches; 0 before the first step."""
        return self.input_seconds / self.seconds if self.seconds else 0.0


class TimeSlice:
    """The time available to a training; it ends between two steps, before a step that would exceed it.

    Args:
        limit: Seconds from now; infinity = no limit.
    """

    def __init__(self, limit: float = math.inf) -> None:
        self.limit, self.start = limit, time.monotonic()
        self._calls, self._latest, self._longest = 0, self.start, 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.start

    def is_over(self) -> bool:
        """Return whether there is no time for a step as long as the longest so far; called before each step.

        The first step does not count, since kernels are compiled in it.
        """
        now = time.monotonic()
        if self._calls > 1:
            # The time before the first step, e.g. for reading the data, is no step.
            self._longest = max(self._longest, now - self._latest)
        self._calls, self._latest = self._calls + 1, now
        return now - self.start + self._longest > self.limit
