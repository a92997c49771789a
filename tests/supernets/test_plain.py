"""The provider of plain networks, and the family that a run trains."""

import pytest

from edanas.core.errors import ConfigError
from edanas.core.tracing import trace
from edanas.core.types import Backbone, Task
from edanas.supernets.plain import PlainNetwork, plain_family


def macs_of(options, channels=1):
    (side,) = options["resolutions"]
    network = PlainNetwork(**options).build(Backbone.of({"resolution": side}), Task(channels, 10))
    stages, last = trace(network, channels)
    return sum(each.macs for each in stages) + last.macs, stages[-1].shape


def test_the_networks_for_8_pixels_have_the_published_costs():
    costs = [macs_of(options)[0] for options in plain_family(8).values()]
    assert [round(cost / 1e6, 3) for cost in costs] == [0.042, 0.090, 0.347]


@pytest.mark.parametrize("side", [5, 7, 8, 9, 16, 20, 28, 32, 33, 48, 64, 100, 224])
def test_the_last_features_are_small_and_costs_rise(side):
    family = plain_family(side)
    costs, shapes = zip(*(macs_of(options, 3) for options in family.values()), strict=True)
    assert sorted(costs) == list(costs)
    assert all(2 <= height <= 4 for _, height, _ in shapes)
    assert costs[0] < 25e6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": (8, 16), "strides": (1, 2, 2)}, "found 3 strides for 2 numbers of channels"),
        ({"channels": (8,), "strides": (1,)}, "two or more"),
        ({"channels": (0, 8), "strides": (1, 2)}, "supernet.channels: found 0"),
        ({"channels": (8, 8), "strides": (1, 5)}, "supernet.strides: found 5"),
        ({"resolutions": (3,)}, "supernet.resolutions: found 3"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        PlainNetwork(**options)
