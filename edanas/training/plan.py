"""How many steps a training takes, how far its schedule is at each, and how long it may go on now."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

DRIFT = 0.05
"""A plan is made anew where the training would end this much earlier or later than it should."""


@dataclass(frozen=True)
class Plan:
    """A training's length, which can be changed on the way: the schedule goes on from where it is.

    Args:
        steps: Of the whole training.
        since: The step at which this plan was made.
        position: How far the schedule was by then, a share.
    """

    steps: int
    since: int = 0
    position: float = 0.0

    def done(self, step: float) -> float:
        """The share of the schedule that is behind at `step`: from `position` in a straight line to 1."""
        if self.steps <= self.since:
            return 1.0
        return self.position + (1 - self.position) * (step - self.since) / (self.steps - self.since)

    def refitted(self, step: int, seconds: float, total: float) -> "Plan":
        """The plan that ends after `total` seconds, where `step` steps took `seconds`; itself if it does.

        Args:
            step: Steps done, at least one.
            seconds: What they took.
            total: What the whole training may take.
        """
        left = max(0.0, total - seconds)
        steps = step + math.floor(left * step / seconds)
        if abs(steps - self.steps) <= DRIFT * (self.steps - step):
            return self
        return Plan(steps, step, self.done(step))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Plan":
        """The inverse of `to_dict`."""
        return cls(int(values["steps"]), int(values["since"]), float(values["position"]))


class Segment:
    """The time that a training has now; it ends between two steps, early enough for one more to fit.

    Args:
        limit: Seconds from now; infinite where nobody waits.
    """

    def __init__(self, limit: float = math.inf) -> None:
        self.limit, self.start = limit, time.monotonic()
        self._latest, self._longest = self.start, 0.0

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.start

    def is_over(self) -> bool:
        """Asked before each step: whether there is no time for another as long as the longest so far."""
        now = time.monotonic()
        self._longest, self._latest = max(self._longest, now - self._latest), now
        return now - self.start + self._longest > self.limit
