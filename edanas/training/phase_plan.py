"""Division of a training's steps among its phases; phases may begin and end within an epoch."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from edanas.core.contracts import Phase


class Moment(NamedTuple):
    """The current phase of a training, and the progress in this phase.

    Args:
        phase: The current phase.
        done: Number of completed steps of the phase. It can be a fraction if the length of the training has
            changed.
        steps: Total number of steps of the phase.
    """

    phase: Phase
    done: float
    steps: int


class PhasePlan:
    """Sequence of phases that divide the steps of a training in proportion to their shares.

    Each phase gets at least one step, if the training has as many steps as phases.

    Args:
        phases: The phases in order, one or more.

    Example:
        >>> plan = PhasePlan([Phase.backbone(2, share=0.5), Phase.whole(2, share=0.5)])
        >>> moment = plan.at(done=7, steps=10)
        >>> moment.done, moment.steps
        (2, 5)
    """

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.phases = tuple(phases)

    def at(self, done: float, steps: int) -> Moment:
        """Return the current phase and its progress.

        Args:
            done: Number of completed steps of the training; may be a fraction.
            steps: Total number of steps of the training.

        Raises:
            ValueError: The training is over: `done` is not below `steps`.
        """
        for phase, (start, end) in zip(self.phases, pairwise(self._bounds(steps)), strict=True):
            if done < end - _ROUNDING:
                return Moment(phase, done - start, end - start)
        raise ValueError(f"{done} of {steps} steps: the training is over")

    def _bounds(self, steps: int) -> list[int]:
        """Return the step at which each phase begins, then the step at which the last phase ends."""
        total, bounds = sum(phase.share for phase in self.phases), [0]
        for count in range(1, len(self.phases) + 1):
            shared = sum(phase.share for phase in self.phases[:count]) / total
            end = max(round(steps * shared), bounds[-1] + 1)
            bounds.append(max(0, min(end, steps - (len(self.phases) - count))))
        return bounds


_ROUNDING = 1e-6
"""Largest rounding error of a number of steps; smaller remainders count as 0."""
