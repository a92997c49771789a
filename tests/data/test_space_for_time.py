from collections.abc import Mapping
from typing import Any

import pytest

from edanas.core.contracts import SupernetProvider
from edanas.core.settings import TrainingSettings
from edanas.core.space import SearchSpace
from edanas.core.types import Task
from edanas.data.space_for_time import (
    ALONE,
    LONG,
    SHARE,
    SINGLE,
    affordable_macs,
    choices_of,
    settings_for_time,
    time_sentence,
)
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry

REGISTRY = Registry(load_plugins())
SPACES: dict[str, dict[str, Any]] = {
    "elastic-resnet": {"widths": [0.2, 0.4, 0.7, 1.0], "resolutions": [16, 32]},
    "ofa-mbv3": {"widths": [0.35, 0.5, 1.0], "resolutions": [24, 32], "depths": [1, 2], "stem_stride": 2},
}
SPEED, IMAGES = 1e10, 10_000
TRAINING = TrainingSettings(random_backbones=2)


def provider(name: str, options: Mapping[str, Any]) -> SupernetProvider:
    built: SupernetProvider = REGISTRY.create("supernet provider", name, options)
    return built


def sizes(name: str, seconds: float) -> dict[str, Any]:
    return settings_for_time(
        lambda options: provider(name, options),
        SPACES[name],
        Task(3, 10),
        affordable_macs(seconds, SPEED, IMAGES),
        TRAINING,
    )


def backbone_macs(name: str, changed: Mapping[str, Any]) -> tuple[float, float]:
    options = {key.partition(".")[2]: value for key, value in changed.items() if key.startswith("supernet.")}
    supernet = provider(name, {**SPACES[name], **options})
    space = SearchSpace(supernet.variables(), (None,), supernet.exit_points)
    totals = []
    for backbone in (space.smallest(), space.largest()):
        costs = supernet.costs(backbone, Task(3, 10))
        assert costs is not None
        stages, last = costs
        totals.append(float(sum(stage.macs for stage in stages) + last.macs))
    return totals[0], totals[1]


@pytest.mark.parametrize("name", SPACES)
def test_more_time_never_makes_the_largest_network_smaller(name: str) -> None:
    chosen = [sizes(name, 60.0 * 2**doubling) for doubling in range(16)]
    single = [backbone_macs(name, each)[1] for each in chosen if "supernet.depths" in each]
    several = [backbone_macs(name, each)[1] for each in chosen if "supernet.depths" not in each]
    assert single == sorted(single)
    assert several == sorted(several)
    assert single and several[-1] == backbone_macs(name, {})[1]
    assert all("supernet.depths" in each for each in chosen[: len(single)])


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("seconds", [300.0, 600.0, 3600.0, 36_000.0, 1e6])
def test_the_epochs_of_the_chosen_training_fit_in_the_time(name: str, seconds: float) -> None:
    changed = sizes(name, seconds)
    smallest, largest = backbone_macs(name, changed)
    middle = (smallest + largest) / 2
    epochs, passes = LONG, smallest + TRAINING.random_backbones * middle + largest
    if "training.backbones" in changed:
        epochs, passes = SINGLE, 0.75 * middle + 0.25 * largest
    elif changed:
        epochs, passes = ALONE, largest
    assert (smallest == largest) == ("supernet.depths" in changed)
    assert 6 * passes * IMAGES * epochs / SPEED <= SHARE * seconds * 1.001


def test_a_space_without_widths_stays_as_it_is() -> None:
    plain = provider("plain", {"channels": [8, 16, 32], "strides": [1, 2, 2]})
    assert settings_for_time(lambda _: plain, {}, Task(1, 10), 1.0, TRAINING) == {}


def test_the_run_reports_what_the_time_leaves_out() -> None:
    assert time_sentence({}, 60.0) == ""
    assert "one network of width 0.4" in time_sentence({"supernet.widths": [0.4]}, 60.0)


def test_of_single_backbones_the_largest_that_keeps_the_limits_is_trained() -> None:
    def fits(options: Mapping[str, Any]) -> bool:
        return float(options["widths"][-1]) <= 0.4

    name = "elastic-resnet"
    affordable = affordable_macs(1000.0, SPEED, IMAGES)
    changed = settings_for_time(
        lambda options: provider(name, options), SPACES[name], Task(3, 10), affordable, TRAINING, fits
    )
    assert sizes(name, 1000.0)["supernet.widths"][-1] > 0.4
    assert changed["supernet.widths"] == [0.4]


def test_widths_that_are_equal_in_the_first_stage_are_choices_of_later_stages() -> None:
    widths = [0.2, 0.24, 0.28]
    assert choices_of(provider("elastic-resnet", {"widths": widths}))["width"] == widths
