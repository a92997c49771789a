"""The steps of each phase of a training; phases may begin and end within an epoch."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from edanas.core.contracts import Phase


class Moment(NamedTuple):
    """The position of a training.

    Args:
        phase: The current phase.
        done: Completed steps of the phase; fractional after the training's length has changed.
        steps: Number of steps of the phase.
    """

    phase: Phase
    done: float
    steps: int


class PhasePlan:
    """Phases in sequence, with their shares of a training's steps, and at least one step each if possible.

    Args:
        phases: One or more phases.

    Example:
        >>> plan = PhasePlan([Phase.backbone(2, share=0.5), Phase.whole(2, share=0.5)])
        >>> moment = plan.at(done=7, steps=10)
        >>> moment.done, moment.steps
        (2, 5)
    """

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.phases = tuple(phases)

    def at(self, done: float, steps: int) -> Moment:
        """Return the position of a training after `done` of its `steps` steps.

        Raises:
            ValueError: The training is over.
        """
        for phase, (start, end) in zip(self.phases, pairwise(self._bounds(steps)), strict=True):
            if done < end - _ROUNDING:
                return Moment(phase, done - start, end - start)
        raise ValueError(f"{done} of {steps} steps: the training is over")

    def _bounds(self, steps: int) -> list[int]:
        """Return the steps at which the phases begin, and the end of the last phase."""
        total, bounds = sum(phase.share for phase in self.phases), [0]
        for count in range(1, len(self.phases) + 1):
            shared = sum(phase.share for phase in self.phases[:count]) / total
            end = max(round(steps * shared), bounds[-1] + 1)
            bounds.append(max(0, min(end, steps - (len(self.phases) - count))))
        return bounds


_ROUNDING = 1e-6
"""Fractions of a step below this are rounding errors."""
