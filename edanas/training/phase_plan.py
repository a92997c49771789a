"""The phases of a training by steps: an epoch may hold several, and a phase may end within one."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from edanas.core.contracts import Phase


class Moment(NamedTuple):
    """Where a training is.

    Args:
        phase: The phase.
        done: Steps of the phase that are done; not whole where the training's length was changed.
        steps: Steps that the phase has.
    """

    phase: Phase
    done: float
    steps: int


class PhasePlan:
    """Phases in turn, by their shares of a training's steps; each has a step at least, if there are as many.

    Args:
        phases: One or more.
    """

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.phases = tuple(phases)

    def at(self, done: float, steps: int) -> Moment:
        """Where a training of `steps` steps is when it has `done` of them behind it."""
        for phase, (start, end) in zip(self.phases, pairwise(self._bounds(steps)), strict=True):
            if done < end - _ROUNDING:
                return Moment(phase, done - start, end - start)
        raise ValueError(f"{done} of {steps} steps: the training is over")

    def _bounds(self, steps: int) -> list[int]:
        """The steps at which the phases begin, and the end of the last."""
        total, bounds = sum(phase.share for phase in self.phases), [0]
        for count in range(1, len(self.phases) + 1):
            shared = sum(phase.share for phase in self.phases[:count]) / total
            end = max(round(steps * shared), bounds[-1] + 1)
            bounds.append(max(0, min(end, steps - (len(self.phases) - count))))
        return bounds


_ROUNDING = 1e-6
"""Of a step: less than this is no part of one."""
