"""Errors for folders without class folders, and for images that cannot be read."""

import os
from pathlib import Path

import numpy as np
import pytest
from image_folders import load, save
from PIL import Image

from edanas.core.errors import ConfigError, DataError
from edanas.data.folder import Folder


@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif"])
def test_a_damaged_image_is_named(flat: Path, damage: str, suffix: str) -> None:
    path = flat / "b" / f"3.{suffix}"
    save(path, size=(64, 64), mode="RGB")
    whole = path.read_bytes()
    path.write_bytes(
        {"garbage": b"\x00no image", "truncated": whole[: len(whole) // 2], "empty": b""}[damage]
    )
    with pytest.raises(DataError, match=rf"b/3.{suffix}: cannot be read as an image"):
        load(flat)


def test_the_first_damaged_image_is_named_every_time(flat: Path) -> None:
    for name in ("a/1.png", "b/2.png", "a/2.png"):
        (flat / name).write_bytes(b"")
    for _ in range(3):
        with pytest.raises(DataError, match=r"a/1.png"):
            load(flat)


def test_a_file_that_is_another_kind_of_program_is_refused(flat: Path) -> None:
    (flat / "b" / "3.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    with pytest.raises(DataError, match=r"b/3.png: cannot be read"):
        load(flat)


def test_a_decompression_bomb_is_refused(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(flat / "b" / "3.png", size=(60, 60))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"b/3.png: image too large"):
        load(flat)


def test_floating_point_pixels_are_refused(flat: Path) -> None:
    Image.fromarray(np.ones((8, 8), dtype=np.float32)).save(flat / "b" / "3.tif")
    with pytest.raises(DataError, match=r"b/3.tif: .*floating-point pixels; allowed: 8 or 16 bits"):
        load(flat)


def test_an_empty_class_folder_is_named(flat: Path) -> None:
    (flat / "c").mkdir()
    (flat / "c" / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"/c: class folder without an image; images end in .avif, .bmp"):
        load(flat)


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    save(tmp_path / "only" / "1.png")
    with pytest.raises(DataError, match=r"at least 2 class folders are needed; found 'only'"):
        load(tmp_path)


def test_images_without_class_folders_are_not_enough(tmp_path: Path) -> None:
    save(tmp_path / "1.png")
    with pytest.raises(DataError, match=r"at least 2 class folders are needed; found none"):
        load(tmp_path)


def test_parts_must_hold_the_same_classes(parted: Path) -> None:
    save(parted / "train" / "c" / "1.png")
    with pytest.raises(DataError, match=r"test: no class folder for 'c', which train/ has") as missing:
        save(parted / "val" / "c" / "1.png")
        load(parted)
    assert "same classes" in str(missing.value)
    save(parted / "test" / "c" / "1.png")
    save(parted / "test" / "d" / "1.png")
    with pytest.raises(DataError, match=r"train: no class folder for 'd', which test/ has"):
        load(parted)


def test_two_validation_parts_are_one_too_many(parted: Path) -> None:
    save(parted / "validation" / "a" / "1.png")
    with pytest.raises(DataError, match=r"both val/ and validation/"):
        load(parted)


@pytest.mark.parametrize("names", [("test/a/1.png", "val/a/1.png"), ("train/1.png", "test/1.png")])
def test_parts_need_class_folders_in_train(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        save(tmp_path / name)
    with pytest.raises(DataError, match=r"found .*test/.* but no class folders in train/"):
        load(tmp_path)


def test_a_missing_folder_or_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder"):
        load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file: is a file; expected a folder"):
        load(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize("name", [".", "a", "a/1.png"])
def test_forbidden_places_are_named(flat: Path, name: str) -> None:
    (flat / name).chmod(0)
    try:
        with pytest.raises(DataError, match=r"(?i)permission"):
            load(flat)
    finally:
        (flat / name).chmod(0o755)


def test_a_folder_that_may_not_be_listed_is_named(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def guarded(path: Path) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DataError, match=r"/b: cannot be read: Permission denied"):
        load(flat)


def test_wrong_options_are_named() -> None:
    with pytest.raises(ConfigError, match=r"data.path: found nothing"):
        Folder()
    with pytest.raises(ConfigError, match=r"data.channels: found 'gray'. Did you mean 'grey'\?"):
        Folder(path=".", channels="gray")
