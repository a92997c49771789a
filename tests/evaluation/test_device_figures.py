"""Estimated latency and energy of a network on a device, by exit and on average."""

from dataclasses import replace

import pytest
from hand_made_results import single

from edanas.core.device_profiles import DeviceProfile
from edanas.core.operator_graph import KINDS, Footprint, Work
from edanas.core.result_row import ResultRow
from edanas.core.types import SegmentCost, SelectionScheme
from edanas.evaluation.device_figures import estimates
from edanas.model.anatomy import Anatomy
from edanas.report.memory import memory_text

BOARD = DeviceProfile("board", 1000, 1000, 1.0, dict.fromkeys(KINDS, 2.0), "by hand", milliwatts=40.0)
SCHEME, SHARES = SelectionScheme((0.5, None)), (0.75, 0.0, 0.25)


def segment(products: int) -> SegmentCost:
    footprint = Footprint(0, 0, 0, 0, Work(convolution=products))
    return SegmentCost(products, 1, 1, (1, 1, 1), footprint=footprint)


ANATOMY = Anatomy(tuple(map(segment, (1000, 2000, 3000))), {0: segment(100)}, segment(50))


def test_latency_and_energy_follow_from_the_shares_of_the_exits():
    figures = estimates(BOARD, ANATOMY, SCHEME, SHARES)
    # Two cycles of a microsecond for each product; the head of exit 1 runs for all samples.
    assert figures["exit_latency_ms"] == pytest.approx([2.2, None, 12.3])
    assert figures["latency_ms"] == pytest.approx(0.75 * 2.2 + 0.25 * 12.3)
    assert figures["exit_energy_mj"] == pytest.approx([0.088, None, 0.492])
    assert figures["energy_mj"] == pytest.approx(0.75 * 0.088 + 0.25 * 0.492)


def test_the_report_states_estimates_by_exit():
    data = single("a", 0.9, 6150)
    row = ResultRow.from_json(
        {**data, "ram": 900, "flash": 800, "device": estimates(BOARD, ANATOMY, SCHEME, SHARES)}
    )
    assert memory_text(row).endswith(
        ", estimated 4.72 ms and 0.189 mJ on average on board (by exit: 2.2, 12.3 ms and 0.088, 0.492 mJ)"
    )


def test_a_device_without_power_has_no_energy_and_no_device_no_figures():
    figures = estimates(replace(BOARD, milliwatts=None), ANATOMY, SCHEME, SHARES)
    assert set(figures) == {"profile", "latency_ms", "exit_latency_ms"}
    assert estimates(None, ANATOMY, SCHEME, SHARES) == {}
