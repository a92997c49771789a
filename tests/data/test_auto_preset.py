"""The preset `auto`: its settings for folders of all kinds, and its use as the default for folders."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edanas.core.config import flatten, resolve, to_plain, to_toml
from edanas.core.errors import ConfigError, DataError
from edanas.core.settings import SplitSettings
from edanas.core.types import ImageSet, LoadedData, Task
from edanas.data.auto_preset import Survey, auto_settings, choice_sentences, part_sizes, split_shares
from edanas.data.splits import split
from edanas.plugins.registry import Registry
from edanas.run.compose import make_space
from edanas.run.layers import layered_settings

GIB = 2**30
TIMM = {"model": "test_resnet"}


def holding(classes: int, each: int, side: int, *, grey: bool) -> Survey:
    images = classes * each
    return Survey(images, images, frozenset(), classes, each, each, side, grey)


SURVEYS = st.builds(
    holding,
    classes=st.integers(2, 1000),
    each=st.integers(4, 3000),
    side=st.integers(1, 6000),
    grey=st.booleans(),
)


def folder(path: Path, classes: int, each: int, size: tuple[int, int], mode: str) -> Path:
    rng = np.random.default_rng(0)
    for label in range(classes):
        (path / f"c{label}").mkdir(parents=True)
        for number in range(each):
            pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).convert(mode).save(path / f"c{label}" / f"{number}.png")
    return path


@given(SURVEYS)
def test_networks_and_schedule_are_sensible_for_any_folder(surveyed: Survey) -> None:
    layer = auto_settings(surveyed, split_shares(surveyed.pool))
    largest = max(layer["supernet.resolutions"])
    assert 4 <= min(layer["supernet.resolutions"]) <= largest <= 64
    # Nothing is enlarged, and the resolutions reach from half of the side to all of it.
    assert largest <= max(4, surveyed.side)
    assert min(layer["supernet.resolutions"]) == max(4, -(-largest // 2))
    for side in layer["supernet.resolutions"]:
        is_half = side < largest and side < 16
        for stride in (layer["supernet.stem_stride"], *layer["supernet.stage_strides"]):
            side = -(-side // stride)
        assert (1 if is_half or largest < 8 else 2) <= side <= 8
    assert surveyed.images * (1 if surveyed.grey else 3) * largest**2 <= 4 * GIB
    # Images shrink only for lack of memory.
    if surveyed.images * 3 * 64**2 <= 4 * GIB:
        assert largest >= min(surveyed.side, 64)
    assert 5 <= layer["training.epochs"] <= 200
    assert 2 <= layer["finetune.epochs"] <= layer["training.epochs"]
    assert ("flip" in layer["training.augment"]) != surveyed.grey
    assert layer["training.batch_size"] in (16, 32, 64, 128)
    assert layer["training.batch_size"] >= 2 * min(surveyed.classes, 16)


@given(SURVEYS)
def test_every_part_gets_enough_images(surveyed: Survey) -> None:
    chosen = split_shares(surveyed.pool)
    assert chosen.train + chosen.calibration + chosen.validation + chosen.test == pytest.approx(1)
    parts = part_sizes(surveyed, chosen)
    assert parts["train"] >= surveyed.pool // 2
    for part in ("calibration", "validation"):
        assert parts[part] >= min(99, 0.14 * surveyed.pool - 1)
        assert parts[part] <= max(10_100, 0.1 * surveyed.pool)
    assert parts["test"] >= parts["validation"]


@pytest.mark.parametrize(("train", "epochs"), [(40_000, 25), (1_000, 158), (12, 200), (3_000_000, 5)])
def test_the_larger_the_set_the_fewer_epochs(train: int, epochs: int) -> None:
    surveyed = holding(2, round(train / 0.6 / 2), 32, grey=True)
    assert auto_settings(surveyed, SplitSettings(0.6, 0.1, 0.1, 0.2))["training.epochs"] == epochs


def test_parts_with_folders_of_their_own_are_not_divided() -> None:
    surveyed = Survey(3000, 1000, frozenset({"test", "validation"}), 2, 500, 500, 32, grey=True)
    assert part_sizes(surveyed, SplitSettings(0.6, 0.2, 0.1, 0.1)) == {"train": 750, "calibration": 250}


# Typical folders, and for each: the sides, the parts, the batch size, the epochs.
FOLDERS = {
    "two classes of 30 photographs": (holding(2, 30, 300, grey=False), [32, 48, 64], (30, 9, 9, 12), 16, 200),
    "ImageNet": (
        *(holding(1000, 1300, 224, grey=False), [16, 24, 32]),
        *((1_259_960, 10_010, 10_010, 20_020), 128, 5),
    ),
    "clothes": (holding(10, 6000, 28, grey=True), [14, 21, 28], (36_000, 6000, 6000, 12_000), 128, 26),
    "small digits": (holding(10, 180, 8, grey=True), [4, 6, 8], (1080, 180, 180, 360), 32, 152),
    "a hundred classes": (
        *(holding(100, 600, 32, grey=False), [16, 24, 32]),
        *((36_000, 6000, 6000, 12_000), 128, 26),
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_typical_folders(name: str, registry: Registry) -> None:
    surveyed, sides, parts, batch, epochs = FOLDERS[name]
    bundle = registry.bundle("mbv3-sm")
    layer = auto_settings(surveyed, split_shares(surveyed.pool))
    settings = resolve([("bundle", bundle.settings), ("auto", bundle.presets["auto"]), ("folder", layer)])
    assert settings.supernet.options["resolutions"] == sides
    assert tuple(part_sizes(surveyed, settings.split).values()) == parts
    assert (settings.training.batch_size, settings.training.epochs) == (batch, epochs)
    provider, space = make_space(registry, settings)
    task = Task(1 if surveyed.grey else 3, surveyed.classes)
    costs = [provider.costs(each, task) for each in (space.smallest(), space.largest())]
    small, large = (
        sum(segment.macs for segment in (*cost[0], cost[1])) for cost in costs if cost is not None
    )
    # Cut networks end earlier still: at the first exit, the smallest network for the digits has 0.01M.
    assert 0.01e6 < small < 0.6e6
    assert (0.5e6 if max(sides) < 16 else 10e6) < large < 60e6


def test_part_sizes_match_the_split() -> None:
    labels = np.repeat(np.arange(2), 30)
    images = torch.arange(60, dtype=torch.uint8).view(60, 1, 1, 1)
    samples = ImageSet(images, torch.from_numpy(labels), ("a", "b"))
    surveyed = holding(2, 30, 1, grey=True)
    parts = split(LoadedData(samples, np.array([""] * 60), ()), split_shares(60), seed=0)
    sizes = part_sizes(surveyed, split_shares(60))
    assert {part: len(getattr(parts, part)) for part in sizes} == sizes


def test_warnings_about_the_data() -> None:
    def sentences(surveyed: Survey) -> str:
        layer = auto_settings(surveyed, split_shares(surveyed.pool))
        return " ".join(choice_sentences(surveyed, resolve([("", layer)]), layer["supernet.resolutions"]))

    assert "9 calibration and 9 validation images are few" in sentences(holding(2, 30, 300, grey=False))
    assert "about 4.0 GB" in sentences(holding(1000, 1300, 224, grey=False))
    calm = sentences(holding(10, 500, 28, grey=True))
    assert not any(word in calm for word in ("few", "GB"))
    assert all(
        word in calm for word in ("5,000 grey images", "10 classes", "28 px", "21 and 28 px", "91 epochs")
    )


@pytest.mark.parametrize(
    ("classes", "size", "mode", "plugin", "sides"),
    [
        (2, (12, 9), "L", "resnet-sm", [8, 9]),
        (3, (32, 32), "RGB", "resnet-sm", [16, 32]),
        (101, (120, 75), "RGB", "mbv3-sm", [32, 48, 64]),
    ],
)
def test_a_folder_without_a_preset_gets_the_preset_auto(
    classes: int,
    size: tuple[int, int],
    mode: str,
    plugin: str,
    sides: list[int],
    registry: Registry,
    tmp_path: Path,
) -> None:
    path, messages = folder(tmp_path / "images", classes, 4, size, mode), []
    settings = layered_settings(registry, [("flags", {"data": str(path)})], messages.append)
    chosen = settings.plugin, settings.preset, settings.supernet.options["resolutions"]
    assert chosen == (plugin, "auto", sides)
    assert f"(bundle '{plugin}')" in messages[0]
    assert "`--preset quick` takes minutes" in messages[1]
    named = layered_settings(registry, [("flags", {"data": str(path), "preset": "auto"})], messages.append)
    assert named == settings
    # A run continues with the settings that it wrote, even if the folder has more images by then.
    again = layered_settings(registry, [("config.toml", to_plain(settings))])
    assert to_toml(again) == to_toml(settings)
    by_option = [("flags", {"data": "folder", "data.path": str(path)})]
    assert layered_settings(registry, by_option).training == settings.training
    assert layered_settings(registry, [("flags", {"data": f"folder:{path}"})]).preset == "auto"


@pytest.mark.parametrize(
    "flags", [{}, {"data": "cifar10"}, {"data": "folder"}, {"preset": "quick"}, {"plugin": "baselines"}]
)
def test_other_data_gets_the_bundles_first_preset(
    flags: dict[str, str], registry: Registry, tmp_path: Path
) -> None:
    path, messages = folder(tmp_path / "images", 2, 4, (8, 8), "L"), []
    layer = {"data": str(path), **flags} if flags.keys() & {"preset", "plugin"} else flags
    first = next(iter(registry.bundle(flags.get("plugin", "mbv3-sm")).presets))
    assert layered_settings(registry, [("flags", layer)], messages.append).preset == first
    assert messages == []


def test_data_that_is_not_there_is_named(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a data set nor a folder"):
        layered_settings(registry, [("flags", {"data": "digts"})])
    with pytest.raises(DataError, match="no such folder"):
        layered_settings(registry, [("flags", {"data": str(tmp_path / "no" / "such")})])


def test_the_users_settings_take_precedence(registry: Registry, tmp_path: Path) -> None:
    path = folder(tmp_path / "images", 2, 4, (32, 32), "RGB")
    mine = {"data": str(path), "training.epochs": 3, "supernet.resolutions": [16], "split.test": 0.1}
    with pytest.raises(ConfigError, match=r"split: .*expected shares that sum to 1"):
        layered_settings(registry, [("flags", mine)])
    flat = flatten(layered_settings(registry, [("flags", {**mine, "split": {"train": 0.7}})]))
    assert flat["training.epochs"] == 3
    assert flat["supernet.resolutions"] == [16]
    assert flat["training.batch_size"] == 16
    # If the user sets one share, the others are the documented ones of the preset.
    assert [flat[f"split.{part}"] for part in ("train", "calibration", "validation", "test")] == [
        0.7,
        0.1,
        0.1,
        0.1,
    ]


@pytest.mark.parametrize(("supernet", "options"), [("ofa-proxyless", {}), ("timm:test_resnet", TIMM)])
def test_options_of_another_supernet_are_not_changed_but_for_the_images_side(
    supernet: str, options: dict[str, str], registry: Registry, tmp_path: Path
) -> None:
    path, messages = folder(tmp_path / "images", 2, 4, (32, 32), "RGB"), []
    flags = {"data": str(path), "supernet": supernet}
    chosen = layered_settings(registry, [("flags", flags)], messages.append).supernet.options
    assert chosen == {**options, "resolutions": [32]}
    assert "32 px; networks read them at 32 px." in messages[0]


def test_memory_is_estimated_for_the_side_that_networks_read() -> None:
    surveyed = holding(1000, 1300, 224, grey=False)
    settings = resolve([("", auto_settings(surveyed, split_shares(surveyed.pool)))])
    # 1.3 million images of 3 x 224 x 224 bytes.
    assert "about 195.7 GB" in " ".join(choice_sentences(surveyed, settings, (64, 224)))


@pytest.mark.parametrize("sides", [[], [3], [32, 32]])
def test_impossible_sides_are_configuration_errors(
    sides: list[int], registry: Registry, tmp_path: Path
) -> None:
    path = folder(tmp_path / "images", 2, 4, (32, 32), "RGB")
    with pytest.raises(ConfigError, match=r"supernet\.resolutions: .*; allowed: "):
        layered_settings(registry, [("flags", {"data": str(path), "supernet.resolutions": sides})])


def test_a_folder_without_class_folders_is_named(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="at least 2 class folders"):
        layered_settings(registry, [("flags", {"data": str(tmp_path)})])
