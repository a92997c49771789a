"""Limits of RAM and flash: a network that keeps them, and limits that none can keep."""

import pytest
from image_folders import save

from edanas.core.config import resolve
from edanas.core.errors import ConfigError, InfeasibleError
from edanas.core.progress import Silent
from edanas.core.types import Candidate, Evaluation, Outcome, SelectionScheme
from edanas.evaluation.scoring import metrics_of
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import compose
from edanas.run.finishing import _infeasible_message
from edanas.run.fitted_space import effective
from edanas.run.layers import layered_settings
from edanas.run.memory_limits import limit_components, profile_of, with_layers


@pytest.fixture(scope="module")
def registry():
    return Registry(load_plugins())


def composed(registry, folder, **settings):
    layers = [("the arguments", {"threads": 1, "data": "digits", **settings})]
    return compose(registry, layered_settings(registry, layers), folder, Silent())


def test_limits_are_constraints_on_every_candidate(registry, tmp_path):
    composition = composed(registry, tmp_path, max_ram="1k", max_flash="40k")
    space = composition.workbench.space
    no_exits = SelectionScheme((None,) * space.exit_points)
    flash = []
    for backbone in (space.smallest(), space.largest()):
        memory = composition.workbench.anatomy_of(backbone, ()).memory(no_exits)
        expected = max(0, memory.ram / 1000 - 1) + max(0, memory.flash / 40_000 - 1)
        assert composition.limits.structure(Candidate(backbone, no_exits)) == pytest.approx(expected)
        flash.append(memory.flash)
    assert flash[0] < 40_000 < flash[1]


@pytest.mark.parametrize(
    ("limits", "parts"),
    [
        ({"max_ram": 300}, ("; allowed: at most 300. This is", "Most RAM: ", " in stage 1. Most flash")),
        ({"max_flash": "1k"}, ("allowed: at most 1k. This is the smallest network", "Most flash: ")),
        ({"constraints": ["ram <= 10"]}, ("constraints: ram is ", "; allowed: at most 10. This is")),
    ],
)
def test_a_limit_below_the_smallest_network_names_its_layer(registry, tmp_path, limits, parts):
    with pytest.raises(InfeasibleError) as error:
        composed(registry, tmp_path, **limits)
    for part in parts:
        assert part in str(error.value)


def test_the_refusal_of_every_candidate_names_the_layers_of_the_nearest(registry, tmp_path):
    composition = composed(registry, tmp_path, max_flash="40k")
    space, no_exits = composition.workbench.space, SelectionScheme((None,) * 4)
    named = ["nearest. Most RAM: ", "Most flash: "]
    for backbone, words in ((space.largest(), named), (space.smallest(), [])):
        error = InfeasibleError("nearest", Candidate(backbone, no_exits))
        text = str(with_layers(error, composition.workbench, composition.limits))
        assert all(each in text for each in words) and ("Most" in text) == bool(words)


def test_the_memory_of_a_device_limits_unless_limits_are_set():
    settings = resolve([("x", {"device_profile": "cortex-m4-80mhz", "max_ram": "64k"})])
    components = list(limit_components(settings, profile_of(settings)))
    assert [each.options for each in components] == [
        {"of": "ram", "at_most": 64_000},
        {"of": "flash", "at_most": 1024 * 1024},
    ]
    assert list(limit_components(resolve([]), None)) == []


def test_an_unknown_device_is_an_error_before_any_network(registry, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'cortex-m7-280mhz'"):
        composed(registry, tmp_path, device_profile="cortex-m7-28mhz")


@pytest.mark.parametrize(
    "limits",
    [
        {"max_flash": "60k"},
        {"device_profile": "small.toml"},
        {"constraints": ["flash <= 60k"]},
        {"constraints": [{"name": "bound", "of": "flash", "at_most": 60_000}]},
    ],
)
def test_limits_narrow_the_space_of_a_folder_unless_it_is_set(registry, tmp_path, monkeypatch, limits):
    profile = (
        'source = "none"\nram = 64000\nflash = 60000\nmegahertz = 80\nmilliwatts = 50\n[cycles]\n'
        "convolution = 1\npointwise = 1\ndepthwise = 1\nlinear = 1\nelements = 1\n"
    )
    (tmp_path / "small.toml").write_text(profile)
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        for number in range(8):
            save(tmp_path / "images" / name / f"{number}.png", (24, 24), "RGB", number)
    spoken: list[str] = []
    bundle = {"plugin": "resnet-sm", "preset": "microcontroller", "max_ram": 0}
    layer = {"data": str(tmp_path / "images"), **bundle, **limits}
    settings = layered_settings(registry, [("the arguments", layer)], spoken.append)
    smallest, middle, largest = settings.supernet.options["widths"]
    assert 0.2 == smallest < middle < largest < 0.4
    assert f"For the limits of memory the supernet has the widths 0.2, {middle}, {largest}." in spoken
    layer = {**layer, "supernet.widths": [0.5]}
    settings = layered_settings(registry, [("the arguments", layer)], spoken.append)
    assert settings.supernet.options["widths"] == [0.5]
    assert sum("supernet has the widths" in sentence for sentence in spoken) == 1
    changes = {"supernet.widths": [0.5], "supernet.resolutions": [8]}
    assert effective(changes, settings) == {"supernet.widths": [0.5]}


def test_a_limit_of_a_folder_that_is_no_number_is_an_error(registry, tmp_path):
    for name in ("a", "b"):
        for number in range(8):
            save(tmp_path / name / f"{number}.png", (24, 24), "RGB", number)
    bound = {"name": "bound", "of": "flash", "at_most": "60k"}
    layer = {"data": str(tmp_path), "plugin": "resnet-sm", "preset": "auto", "constraints": [bound]}
    with pytest.raises(ConfigError, match=r"^constraints\.at_most: '60k': expected a number"):
        layered_settings(registry, [("the arguments", layer)])


def test_of_a_limit_and_the_memory_of_a_device_the_smaller_holds():
    settings = resolve([("x", {"device_profile": "cortex-m4-80mhz", "max_ram": "1M", "max_flash": "64k"})])
    components = list(limit_components(settings, profile_of(settings)))
    assert [each.options["at_most"] for each in components] == [128 * 1024, 64_000]


@pytest.mark.parametrize(("limit", "named"), [("40k", True), ("40M", False)])
def test_candidates_that_break_a_limit_of_memory_name_their_layers(registry, tmp_path, limit, named):
    composition = composed(registry, tmp_path, max_flash=limit, constraints=["accuracy >= 90%"])
    bench = composition.workbench
    backbone = bench.space.largest()
    shares = (*(0.0,) * bench.space.exit_points, 1.0)
    candidate = Candidate(backbone, SelectionScheme((None,) * bench.space.exit_points))
    outcome = Outcome(0.1, shares, (*(None,) * bench.space.exit_points, 0.1), 0.1)
    metrics = metrics_of(outcome, candidate.scheme, bench.anatomy_of(backbone, ()))
    message = _infeasible_message([Evaluation(candidate, 0, metrics)], composition)
    assert "accuracy is 10%; allowed: at least 90%" in message
    assert ("Most RAM: " in message and "Most flash: " in message) is named
    assert ("flash is " in message) is named
