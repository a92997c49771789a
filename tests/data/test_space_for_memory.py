from collections.abc import Mapping
from typing import Any

import pytest

from edanas.core.contracts import SupernetProvider
from edanas.core.space import SearchSpace
from edanas.core.types import Task
from edanas.data.space_for_memory import SPARE, settings_for_memory
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry

REGISTRY, TASK = Registry(load_plugins()), Task(3, 10)
SPACES: dict[str, dict[str, Any]] = {
    "elastic-resnet": {"resolutions": [32]},
    "ofa-mbv3": {"widths": [0.2, 0.35, 0.5, 1.0], "resolutions": [32], "minimalistic": True, "last_width": 0},
}


def provider(name: str, options: Mapping[str, Any]) -> SupernetProvider:
    built: SupernetProvider = REGISTRY.create("supernet provider", name, options)
    return built


def changes(name: str, ram: float, flash: float) -> dict[str, Any]:
    return settings_for_memory(lambda options: provider(name, options), SPACES[name], TASK, ram, flash)


def most(name: str, changed: Mapping[str, Any]) -> tuple[int, int]:
    """Return RAM and flash of the largest network."""
    options = {key.removeprefix("supernet."): value for key, value in changed.items()}
    supernet = provider(name, {**SPACES[name], **options})
    costs = supernet.costs(SearchSpace(supernet.variables(), (None,), supernet.exit_points).largest(), TASK)
    assert costs is not None
    prints = [each.footprint for each in (*costs[0], costs[1])]
    return max(each.ram for each in prints if each), sum(each.flash for each in prints if each)


@pytest.mark.parametrize("name", SPACES)
def test_the_largest_network_needs_little_more_than_the_limits(name: str) -> None:
    flash = 100_000
    changed = changes(name, 0, flash)
    assert most(name, changed)[1] <= SPARE * flash < most(name, {})[1]
    ram = most(name, {})[0] / (1.5 * SPARE)
    assert most(name, changes(name, ram, 0))[0] <= SPARE * ram


@pytest.mark.parametrize("name", SPACES)
def test_limits_that_every_network_keeps_change_nothing(name: str) -> None:
    assert changes(name, 0, 0) == changes(name, 1e9, 1e9) == {}


def test_depths_are_dropped_if_one_width_remains() -> None:
    changed = changes("elastic-resnet", 0, 9000)
    assert changed == {"supernet.widths": [0.2], "supernet.depths": [1]}


def test_finer_widths_replace_dropped_ones_if_fewer_than_three_are_left() -> None:
    flash = 44_000
    changed = changes("elastic-resnet", 0, flash)
    smallest, middle, largest = changed["supernet.widths"]
    assert smallest == 0.2 and middle == pytest.approx((smallest + largest) / 2, abs=0.01) and largest < 0.4
    assert set(changed) == {"supernet.widths"}
    wider = {"supernet.widths": [largest + 0.04]}
    assert most("elastic-resnet", changed)[1] <= SPARE * flash < most("elastic-resnet", wider)[1]


def test_networks_without_widths_stay_as_they_are() -> None:
    plain = REGISTRY.create("supernet provider", "resnet8", {})
    assert settings_for_memory(lambda _: plain, {}, TASK, 1.0, 1.0) == {}
