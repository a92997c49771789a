"""The survey of a folder, before its images are decoded."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edanas.core.errors import DataError
from edanas.data.folder import Folder


def draw(path: Path, size: tuple[int, int], mode: str = "L", seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def test_counts_are_of_the_pool(tmp_path: Path) -> None:
    for part, name, count in [("train", "a", 7), ("train", "b", 3), ("test", "a", 9), ("test", "b", 1)]:
        for number in range(count):
            draw(tmp_path / part / name / f"{number}.png", (6, 4))
    surveyed = Folder(path=str(tmp_path)).survey()
    assert (surveyed.images, surveyed.pool, surveyed.fixed_parts) == (20, 10, {"test"})
    assert (surveyed.classes, surveyed.fewest, surveyed.most) == (2, 3, 7)


def test_the_side_is_the_median_of_the_shorter_ones(tmp_path: Path) -> None:
    for number, size in enumerate([(30, 10), (12, 40), (50, 50)]):
        draw(tmp_path / "a" / f"{number}.png", size)
        draw(tmp_path / "b" / f"{number}.png", size)
    assert Folder(path=str(tmp_path)).survey().side == 12


@pytest.mark.parametrize(
    ("mode", "suffix", "grey"),
    [("RGB", "png", False), ("L", "png", True), ("1", "png", True), ("L", "jpg", True)],
)
def test_colour_is_determined_by_the_pixels(mode: str, suffix: str, grey: bool, tmp_path: Path) -> None:
    for name in "ab":
        draw(tmp_path / name / f"0.{suffix}", (20, 20), mode)
    assert Folder(path=str(tmp_path)).survey().grey is grey
    # Grey pixels in files with colour channels, as scanners and cameras write them.
    for name in "ab":
        path = tmp_path / name / f"0.{suffix}"
        Image.open(path).convert("RGB").save(path)
    assert Folder(path=str(tmp_path)).survey().grey is grey


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name in "ab":
        draw(tmp_path / name / "0.png", (8, 8))
    (tmp_path / "b" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0\.png: cannot be read as an image"):
        Folder(path=str(tmp_path)).survey()
