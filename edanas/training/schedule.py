"""Number of steps, progress, speed and available time of a training."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

DRIFT = 0.05
"""Largest change of the number of steps that is ignored, as a share of the remaining steps."""


@dataclass(frozen=True)
class Schedule:
    """The number of steps of a training, and the progress at each step.

    The number of steps can change during the training; then the progress continues from its current value.

    Args:
        steps: Number of steps of the whole training.
        since: Number of steps that were done when this schedule was made; 0 for a new training.
        position: Progress of the training after `since` steps, from 0 to 1; 0 for a new training.

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
        """Return the progress of the training after `step` steps.

        The progress rises linearly, from `position` after `since` steps to 1 after `steps` steps.
        """
        if self.steps <= self.since:
            return 1.0
        return self.position + (1 - self.position) * (step - self.since) / (self.steps - self.since)

    def place(self, step: int) -> float:
        """Return the number of steps that correspond to the progress after `step` steps; often `step`."""
        return self.done(step) * self.steps if self.since else step

    def refitted(self, step: int, seconds: float, total: float, each: float) -> "Schedule":
        """Return a schedule whose training ends after `total` seconds.

        Returns `self` if the number of steps would change by at most 5% of the remaining steps.

        Args:
            step: Number of completed steps.
            seconds: Time that the completed steps took, in seconds.
            total: Time for the whole training, in seconds.
            each: Expected time of one step, in seconds.
        """
        steps = max(1, step + math.floor(max(0.0, total - seconds) / each))
        if abs(steps - self.steps) <= DRIFT * (self.steps - step):
            return self
        return Schedule(steps, step, self.done(step))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Schedule":
        """Return the schedule whose fields `to_dict` returned."""
        return cls(int(values["steps"]), int(values["since"]), float(values["position"]))


@dataclass
class TrainingSpeed:
    """The speed of a training.

    Args:
        images: Number of training images that were processed.
        seconds: Time in seconds that the processing of the images took.
        input_seconds: Part of `seconds` that was spent on preparing batches. On a GPU, only the time for
            launching the kernels is counted.
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
        """Share of `seconds` that was spent on preparing batches; 0 before the first step."""
        return self.input_seconds / self.seconds if self.seconds else 0.0


class TimeSlice:
    """The time available to a training, from the creation of this object.

    Args:
        limit: Available time in seconds; infinity, the default, means no limit.
    """

    def __init__(self, limit: float = math.inf) -> None:
        self.limit, self.start = limit, time.monotonic()
        self._calls, self._latest, self._longest = 0, self.start, 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the creation of this object."""
        return time.monotonic() - self.start

    def is_over(self) -> bool:
        """Return True if the remaining time is shorter than the longest step so far.

        The method must be called before each step, since it measures the time between its calls. The first
        step is not measured, since kernels are compiled in it.
        """
        now = time.monotonic()
        if self._calls > 1:
            # At the first call no step has run, and at the second call only the step that compiles kernels.
            self._longest = max(self._longest, now - self._latest)
        self._calls, self._latest = self._calls + 1, now
        return now - self.start + self._longest > self.limit
