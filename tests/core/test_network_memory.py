"""Memory of networks from segments with known footprints."""

import pytest

from edanas.core.network_memory import lacks_footprints, network_memory
from edanas.core.operator_graph import Footprint
from edanas.core.types import SegmentCost


def part(ram: int, held: int, flash: int, name: str) -> SegmentCost:
    """Return the costs of a segment that matter for memory."""
    return SegmentCost(1, 1, 1, (4, 2, 2), footprint=Footprint(10, ram, held, flash, largest=name))


STAGES = [part(100, 110, 1, "a"), part(300, 310, 2, "b"), part(50, 60, 4, "c")]
HEADS = {0: part(90, 350, 8, "h0"), 1: part(20, 30, 16, "h1")}
LAST = part(40, 999, 32, "z")


@pytest.mark.parametrize(
    ("placed", "ram", "flash", "exit_ram", "largest"),
    [
        ((), 300, 39, (None, None, 300), "b in stage 2"),
        ((0,), 350, 47, (350, None, 350), "h0 in head 1"),
        ((1,), 300, 55, (None, 300, 300), "b in stage 2"),
        ((0, 1), 350, 63, (350, 350, 350), "h0 in head 1"),
    ],
)
def test_an_exit_keeps_the_features_while_its_head_runs(placed, ram, flash, exit_ram, largest):
    memory = network_memory(STAGES, HEADS, LAST, placed)
    assert (memory.ram, memory.flash, memory.exit_ram, memory.largest) == (ram, flash, exit_ram, largest)


def test_an_unknown_footprint_makes_the_memory_unknown():
    unknown = SegmentCost(1, 1, 1, (1, 1, 1))
    assert lacks_footprints([LAST, unknown])
    assert network_memory(STAGES, {0: unknown}, LAST, (0,)) is None
    assert network_memory(STAGES, {0: unknown}, LAST, ()) is not None
