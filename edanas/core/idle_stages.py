"""Stages that do not run, since a later stage of their segment reads the image and not their features."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from edanas.core.network_memory import NOTHING
from edanas.core.types import SegmentCost


def idle_stages(image_stages: Iterable[int], exits: Collection[int]) -> frozenset[int]:
    """Return the indices of the stages that do not run.

    Args:
        image_stages: Indices of the stages that read the image, as the networks of a cascade do.
        exits: Indices of the exit points with an exit, from 0.

    Example:
        >>> sorted(idle_stages(image_stages=(1, 2), exits=(0,)))
        [1]
    """
    idle: set[int] = set()
    for stage in image_stages:
        before = stage - 1
        while before >= 0 and before not in exits:
            idle.add(before)
            before -= 1
    return frozenset(idle)


def running_costs(stages: Sequence[SegmentCost], exits: Collection[int]) -> tuple[SegmentCost, ...]:
    """Return the costs of the stages of a network; a stage that does not run costs nothing.

    Args:
        stages: Costs of each of the M stages.
        exits: Indices of the exit points with an exit, from 0.
    """
    idle = idle_stages(image_stages_of(stages), exits)
    return tuple(
        replace(stage, macs=0, params=0, activations=0, outputs=0, footprint=NOTHING) if at in idle else stage
        for at, stage in enumerate(stages)
    )


def image_stages_of(stages: Sequence[SegmentCost]) -> tuple[int, ...]:
    """Return the indices of the stages after the first one that read the image."""
    return tuple(at for at, stage in enumerate(stages) if at and stage.reads_image)
