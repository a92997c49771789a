"""The number of steps of a training that has a fixed time, fitted while the training runs."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from edanas.training.schedule import Schedule

_FIRST_GUESS = 1000
"""Least number of steps before the first measurement, so that the first steps hardly advance the schedule."""

_FIRST, _GROWTH = 3, 1.5
"""The step of the first fit, and the ratio of the steps of two fits."""

_LATE = 1.1
"""Ratio of the expected to the remaining time above which the number of steps is fitted at once."""

_RECENT = 50
"""Number of steps whose mean duration is the expected duration of a step."""


class Pace:
    """Fits the number of steps of a training to a time limit, again and again.

    The durations of the latest steps decide. A fit is recorded, so that a repetition makes as many steps on a
    machine of another speed.

    Args:
        limit: Time for the remaining steps in seconds, from the creation of this object.
        fits: Number of completed steps -> number of all steps: the fits of an earlier call, which are
            repeated.
        record: Called with all fits after each new fit; by default, fits are not recorded.
        fixed: True to repeat `fits` and to make no others, whatever the time.
        clock: Function that returns a time in seconds.

    Example:
        >>> pace = Pace(limit=60.0, fits={0: 500, 3: 200})
        >>> pace.schedule(Schedule(steps=10), step=0)
        Schedule(steps=500, since=0, position=0.0)
    """

    def __init__(
        self,
        limit: float,
        fits: Mapping[int, int] | None = None,
        record: Callable[[Mapping[int, int]], None] = lambda _: None,
        *,
        fixed: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit, self.record, self.fixed, self.clock = limit, record, fixed, clock
        self.fits = dict(fits or {})
        self.start = self.latest = clock()
        self._durations: deque[float] = deque(maxlen=_RECENT)
        self._first: int | None = None
        self._next = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the reduction to a pace in another process, whose time begins there and is not recorded."""
        return partial(Pace, fixed=self.fixed), (self.limit, self.fits)

    def left(self) -> float:
        """Return the seconds of the limit that are left, 0 or more."""
        return max(0.0, self.start + self.limit - self.clock())

    def schedule(self, schedule: Schedule, step: int) -> Schedule:
        """Return the schedule to go on with.

        Args:
            schedule: The present schedule.
            step: Number of completed steps. The method is called before each step and after the last step.
        """
        now = self.clock()
        if self._first is None:
            self._first = step
            self._next = max(_FIRST, math.ceil(step * _GROWTH))
        elif step - self._first != 1 or now - self.start > self.limit:
            # The first step compiles kernels; its duration counts only if nothing else is known.
            self._durations.append(now - self.latest)
        self.latest = now
        if step in self.fits:
            return Schedule(self.fits[step], step, schedule.done(step))
        if self.fixed or (self.fits and step < max(self.fits)):
            return schedule
        if not step:
            return self._fitted(schedule, step, max(schedule.steps, _FIRST_GUESS))
        steps = self._affordable(step, now)
        # At its end a training stays ended: its learning rate is 0, even if some time is left.
        if steps is None or step >= schedule.steps or not self._is_due(schedule, step, steps):
            return schedule
        self._next = math.ceil(step * _GROWTH)
        return self._fitted(schedule, step, steps)

    def _affordable(self, step: int, now: float) -> int | None:
        """Return the number of steps that end in time; `None` before a step was measured."""
        if not self._durations:
            return None
        each = sum(self._durations) / len(self._durations)
        return step + max(0, math.floor((self.start + self.limit - now) / max(each, 1e-6)))

    def _is_due(self, schedule: Schedule, step: int, steps: int) -> bool:
        left, affordable = schedule.steps - step, steps - step
        return step >= self._next or left > _LATE * affordable

    def _fitted(self, schedule: Schedule, step: int, steps: int) -> Schedule:
        if steps == schedule.steps:
            return schedule
        self.fits[step] = steps
        self.record(self.fits)
        return Schedule(steps, step, schedule.done(step))
