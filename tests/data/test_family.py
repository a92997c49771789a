from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edanas.core.errors import ConfigError
from edanas.core.space import SearchSpace
from edanas.core.types import Task
from edanas.data.auto_preset import Survey, auto_settings, split_shares
from edanas.data.family import DENSE_SIDE, SPECTROGRAMS, bundle_for, dense_sides, for_supernet
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.layers import layered_settings


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry(load_plugins())


def of_side(side: int, *, grey: bool = True) -> Survey:
    return Survey(3000, 3000, frozenset(), 10, 300, 300, side, grey)


def folder(path: Path, side: int) -> str:
    for label in "ab":
        (path / label).mkdir(parents=True)
        for index in range(4):
            pixels = np.full((side, side), 40 * index, dtype=np.uint8)
            Image.fromarray(pixels).save(path / label / f"{index}.png")
    return str(path)


def test_the_side_of_the_images_decides_on_the_family() -> None:
    chosen = {side: bundle_for(of_side(side)) for side in (8, 28, DENSE_SIDE, DENSE_SIDE + 1, 224)}
    assert [name for name, _ in chosen.values()] == ["resnet-sm"] * 3 + ["mbv3-sm"] * 2
    for side, (name, reason) in chosen.items():
        other = {"resnet-sm": "mbv3-sm", "mbv3-sm": "resnet-sm"}[name]
        assert f"{side} px" in reason
        assert f"`--plugin {other}`" in reason


@pytest.mark.parametrize("side", [3, 4, 5, 8, 9, 15, 28, 32, 40, 64, 300])
def test_no_image_is_enlarged_and_sides_reach_from_half_to_the_whole(side: int) -> None:
    sides = dense_sides(of_side(side))
    assert sides == sorted(set(sides))
    assert sides[-1] == min(64, max(4, side))
    assert sides[0] == (sides[-1] if side <= 8 else max(8, sides[-1] // 2))


@pytest.mark.parametrize("side", [4, 5, 7, 8, 13, 28, 40])
def test_settings_fit_the_supernet(side: int, registry: Registry) -> None:
    surveyed = of_side(side, grey=False)
    automatic = auto_settings(surveyed, split_shares(surveyed.pool))
    assert for_supernet(automatic, "ofa-mbv3", surveyed) is automatic
    dense = for_supernet(automatic, "elastic-resnet", surveyed)
    options = {name.partition(".")[2]: value for name, value in dense.items() if name.startswith("supernet.")}
    provider = registry.create("supernet provider", "elastic-resnet", options)
    space = SearchSpace(provider.variables(), "continuous", provider.exit_points)
    stages, _ = provider.costs(space.smallest(), Task(3, 10))
    assert stages[-1].shape[1] >= 2
    assert dense["training.epochs"] == automatic["training.epochs"]


def test_networks_of_a_microcontroller_have_layers_that_its_runtimes_know() -> None:
    surveyed = of_side(28)
    automatic = auto_settings(surveyed, split_shares(surveyed.pool))
    dense = for_supernet(automatic, "elastic-resnet", surveyed, microcontroller=True)
    assert dense["supernet.activation"] == "relu"
    assert for_supernet(automatic, "elastic-resnet", surveyed)["supernet.activation"] == "gelu"
    assert for_supernet(automatic, "ofa-mbv3", surveyed, microcontroller=True)["supernet.minimalistic"]
    spectrograms = replace(of_side(32), sound=True)
    settings = for_supernet(automatic, "elastic-resnet", spectrograms, microcontroller=True)
    assert settings["supernet.activation"] == "relu"
    assert settings["training.augment"] == SPECTROGRAMS


def test_photographs_have_a_whitened_stem_and_maxima() -> None:
    for side, grey, whitened in ((32, False, True), (32, True, False), (16, False, False)):
        surveyed = of_side(side, grey=grey)
        dense = for_supernet(auto_settings(surveyed, split_shares(3000)), "elastic-resnet", surveyed)
        assert (dense.get("supernet.stem") == "whitened") == whitened
        assert dense["finetune.epochs"] == dense["training.epochs"] // 2
        assert dense["training.learning_rate"] / 2 < dense["finetune.learning_rate"]
        assert (dense.get("classifier", {}).get("pooling") == "max") == whitened


@pytest.mark.parametrize(("plugin", "low", "high"), [("resnet-sm", 0.5, 0.7), ("mbv3-sm", 0.01, 0.1)])
def test_results_of_one_dense_network_are_tuned_at_a_high_rate(
    plugin: str, low: float, high: float, registry: Registry, tmp_path: Path
) -> None:
    flags = {"data": folder(tmp_path, 32), "plugin": plugin, "preset": "auto", "time_limit": 1e-4}
    settings = layered_settings(registry, [("flags", flags)])
    assert len(settings.supernet.options["widths"]) == 1
    assert low < settings.finetune.learning_rate / settings.training.learning_rate < high


def test_given_weights_and_other_heads_prevent_a_whitened_stem(registry: Registry, tmp_path: Path) -> None:
    images = tmp_path / "images"
    for label in "ab":
        (images / label).mkdir(parents=True)
        for index in range(4):
            pixels = np.full((32, 32, 3), (40 * index, 9, 9), dtype=np.uint8)
            Image.fromarray(pixels).save(images / label / f"{index}.png")
    stems = []
    for flags in ({}, {"classifier": "mlp"}, {"weights": str(tmp_path / "own.safetensors")}):
        layer = {"data": str(images), "plugin": "resnet-sm", "preset": "auto", **flags}
        stems.append(layered_settings(registry, [("flags", layer)]).supernet.options.get("stem"))
    assert stems == ["whitened", None, None]


def test_a_named_bundle_supernet_or_weights_stays(registry: Registry, tmp_path: Path) -> None:
    images, messages = folder(tmp_path / "images", 12), list[str]()
    for flags in (
        {"plugin": "mbv3-sm"},
        {"supernet": "ofa-proxyless"},
        {"supernet.widths": [0.5]},
        {"weights": "cifar10-mbv3"},
        {"preset": "quick"},
    ):
        settings = layered_settings(registry, [("flags", {"data": images, **flags})], messages.append)
        assert settings.plugin == "mbv3-sm", flags
    assert not any("get dense networks" in message for message in messages)
    named = {"data": images, "plugin": "resnet-sm"}
    settings = layered_settings(registry, [("flags", named)], messages.append)
    assert (settings.preset, settings.supernet.name) == ("auto", "elastic-resnet")
    wrong = {**named, "supernet.kernels": [3]}
    with pytest.raises(ConfigError, match=r"supernet\.kernels"):
        layered_settings(registry, [("flags", wrong)])


@pytest.mark.parametrize(
    ("table", "limit"),
    [
        ({}, 1800.0),
        ({"training": {"batch_size": 16}}, 1800.0),
        ({"training.epochs": 2}, 0.0),
        ({"training": {"epochs": 2}}, 0.0),
        ({"training.epochs": 2, "time_limit": 90.0}, 90.0),
        ({"preset": "auto"}, 0.0),
    ],
)
def test_a_folder_has_a_default_time_unless_its_epochs_or_a_preset_are_set(
    table: dict[str, Any], limit: float, registry: Registry, tmp_path: Path
) -> None:
    layers = [("a file", {"data": folder(tmp_path, 8)}), ("the user", table)]
    assert layered_settings(registry, layers, whole_run=True).time_limit == limit
