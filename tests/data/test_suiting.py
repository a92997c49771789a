from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edanas.compose import make_space
from edanas.core.config import flatten
from edanas.core.errors import DataError
from edanas.core.types import Task
from edanas.data.suiting import Survey, suited, survey
from edanas.layering import layered_settings
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry


def folder(path: Path, classes: int, each: int, size: tuple[int, int], mode: str) -> Path:
    rng = np.random.default_rng(0)
    for label in range(classes):
        (path / f"c{label}").mkdir(parents=True)
        for number in range(each):
            pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).convert(mode).save(path / f"c{label}" / f"{number}.png")
    return path


@given(
    st.builds(
        Survey,
        images=st.integers(8, 3_000_000),
        classes=st.integers(2, 1000),
        side=st.integers(1, 6000),
        grey=st.booleans(),
    )
)
def test_whatever_a_folder_holds_the_networks_and_the_schedule_are_sensible(found: Survey) -> None:
    layer = suited(found, 0.6)
    largest = max(layer["supernet.resolutions"])
    assert 16 <= min(layer["supernet.resolutions"]) <= largest <= 64
    assert largest >= min(found.side, 64)
    for side in layer["supernet.resolutions"]:
        for stride in (layer["supernet.stem_stride"], *layer["supernet.stage_strides"]):
            side = -(-side // stride)
        assert 2 <= side <= 8
    assert 16 <= layer["training.batch_size"] <= 128
    assert 5 <= layer["training.epochs"] <= 200
    assert 2 <= layer["finetune.epochs"] <= layer["training.epochs"]
    assert ("flip" in layer["training.augment"]) != found.grey


@pytest.mark.parametrize(
    ("classes", "size", "mode", "sides"),
    [(2, (12, 9), "L", (16,)), (3, (32, 32), "RGB", (24, 32)), (101, (120, 75), "RGB", (48, 64))],
)
def test_the_preset_looks_at_the_folder_and_makes_a_space_for_it(
    classes: int, size: tuple[int, int], mode: str, sides: tuple[int, ...], tmp_path: Path
) -> None:
    path = folder(tmp_path / "images", classes, 4, size, mode)
    assert survey(path) == Survey(4 * classes, classes, min(size), mode == "L")
    registry = Registry(load_plugins(print))
    settings = layered_settings(registry, [("flags", {"data": str(path), "preset": "auto"})])
    provider, space = make_space(registry, settings)
    assert tuple(settings.supernet.options["resolutions"]) == sides
    task = Task(1 if mode == "L" else 3, classes)
    costs = [provider.costs(each, task) for each in (space.smallest(), space.largest())]
    small, large = (sum(stage.macs for stage in cost[0]) for cost in costs if cost is not None)
    assert 0.1e6 < small < 4e6
    assert small < 8e6 < large < 80e6


def test_what_the_user_says_counts_more(tmp_path: Path) -> None:
    path = folder(tmp_path / "images", 2, 4, (32, 32), "RGB")
    registry = Registry(load_plugins(print))
    given_ = {"data": str(path), "preset": "auto", "training.epochs": 3, "supernet.resolutions": [16]}
    flat = flatten(layered_settings(registry, [("flags", given_)]))
    assert flat["training.epochs"] == 3
    assert flat["supernet.resolutions"] == [16]
    assert flat["training.batch_size"] == 16


def test_a_data_set_by_name_is_not_looked_at() -> None:
    registry = Registry(load_plugins(print))
    assert layered_settings(registry, [("flags", {"preset": "auto"})]).data.name == "digits"


def test_what_is_no_folder_of_images_is_named(tmp_path: Path) -> None:
    registry = Registry(load_plugins(print))
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="at least 2 class folders"):
        layered_settings(registry, [("flags", {"preset": "auto", "data": str(tmp_path)})])
    path = folder(tmp_path / "images", 2, 1, (8, 8), "L")
    (path / "c1" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0\.png: cannot be read as an image"):
        layered_settings(registry, [("flags", {"preset": "auto", "data": str(path)})])
