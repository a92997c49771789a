"""Memory of an early-exit network on a microcontroller, from the footprints of its segments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edanas.core.operator_graph import Footprint
from edanas.core.types import SegmentCost

NOTHING = Footprint(0, 0, 0, 0)
"""The footprint of a stage behind the end of a network."""


@dataclass(frozen=True)
class NetworkMemory:
    """Bytes of an int8 network on a microcontroller, for one sample at a time.

    Args:
        ram: Peak of activations of a sample that exits at the last exit.
        flash: Bytes of the weights, biases and scales of all stages and placed heads.
        exit_ram: Peak of activations up to each of the N exit points (`None` = no exit) and the last exit.
        largest: The operator during which `ram` bytes are alive, and its segment.
    """

    ram: int
    flash: int
    exit_ram: tuple[int | None, ...]
    largest: str


def network_memory(
    stages: Sequence[SegmentCost],
    heads: Mapping[int, SegmentCost],
    last: SegmentCost,
    placed: Sequence[int],
) -> NetworkMemory | None:
    """Return the memory of a network; `None` if the footprint of a segment is not known.

    While the head of an exit runs, the features stay in memory for the next stage. Nothing follows the last
    exit, so its features end when they have been read.

    Args:
        stages: Costs of each of the M stages.
        heads: Costs of heads by exit point, from 0.
        last: Costs of the last exit.
        placed: Indices of the exit points with an exit, ascending.

    Example:
        >>> part = SegmentCost(9, 1, 64, (4, 4, 4), footprint=Footprint(64, 128, 192, 100, largest="add"))
        >>> network_memory([part, part], {0: part}, part, [0])
        NetworkMemory(ram=192, flash=400, exit_ram=(192, 192), largest='add in head 1')
    """
    points = len(stages) - 1
    if lacks_footprints((*stages, *(heads[index] for index in placed), last)):
        return None
    peak, largest, flash = 0, "", 0
    by_exit: list[int | None] = []
    for index, stage in enumerate(stages):
        parts = [(stage.footprint or NOTHING, f"stage {index + 1}", False)]
        if index in placed:
            parts.append((heads[index].footprint or NOTHING, f"head {index + 1}", True))
        if index == points:
            parts.append((last.footprint or NOTHING, "the last exit", False))
        for footprint, place, features_stay in parts:
            ram = footprint.held if features_stay else footprint.ram
            if ram > peak:
                peak, largest = ram, f"{footprint.largest or 'input'} in {place}"
            flash += footprint.flash
        by_exit.append(peak if len(parts) > 1 else None)
    return NetworkMemory(peak, flash, tuple(by_exit), largest)


def lacks_footprints(costs: Sequence[SegmentCost]) -> bool:
    """Return whether the footprint of a segment is not known."""
    return any(cost.footprint is None for cost in costs)
