import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from image_folders import load, save
from PIL import Image

from edanas.core.errors import DataError
from edanas.data.folder import Folder, edanas_data_sets


def test_it_is_registered_as_folder() -> None:
    assert edanas_data_sets() == {"folder": Folder}


def test_equal_grey_images_come_back_pixel_by_pixel(flat: Path) -> None:
    data = load(flat, size=32)
    expected = [np.asarray(Image.open(flat / name)) for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png")]
    np.testing.assert_array_equal(data.samples.images[:, 0].numpy(), np.stack(expected))
    assert data.samples.labels.tolist() == [0, 0, 1, 1]
    assert data.samples.classes == ("a", "b")
    assert data.parts.tolist() == [""] * 4
    assert data.remarks == ()


def test_classes_and_files_are_in_natural_order_on_every_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("class10/2.png", "class2/10.png", "class2/9.png", "class10/sub/1.png")):
        save(tmp_path / name, value=number)
    once = load(tmp_path)
    scandir = os.scandir

    class Reversed:
        def __init__(self, path: object) -> None:
            with scandir(path) as entries:  # type: ignore[call-overload]
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            return iter(self.entries)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Reversed)
    again = load(tmp_path)
    assert once.samples.classes == ("class2", "class10")
    first = np.asarray(Image.open(tmp_path / "class2/9.png"))
    np.testing.assert_array_equal(once.samples.images[0, 0].numpy(), first)
    assert torch.equal(once.samples.images, again.samples.images)
    assert torch.equal(once.samples.labels, again.samples.labels)


def test_parts_are_named_after_their_folders(parted: Path) -> None:
    data = load(parted)
    assert sorted(data.parts.tolist()) == ["test"] * 2 + ["train"] * 2 + ["validation"] * 2
    for part in ("train", "validation", "test"):
        assert data.samples.labels[torch.from_numpy(data.parts == part)].tolist() == [0, 1]


def test_validation_may_be_spelled_out(parted: Path) -> None:
    (parted / "val").rename(parted / "validation")
    assert set(load(parted).parts) == {"train", "validation", "test"}


def test_the_name_of_one_part_may_be_that_of_a_class(tmp_path: Path) -> None:
    for name in ("bus/1.png", "train/1.png"):
        save(tmp_path / name)
    data = load(tmp_path)
    assert data.samples.classes == ("bus", "train")
    assert set(data.parts) == {""}
    save(tmp_path / "test" / "1.png")
    with pytest.raises(DataError, match="found test/, train/, which look like parts"):
        load(tmp_path)


def test_colour_makes_everything_rgb(flat: Path) -> None:
    save(flat / "b" / "3.png", mode="RGB", value=9)
    data = load(flat)
    assert data.samples.images.shape == (5, 3, 8, 8)
    assert torch.equal(data.samples.images[0, 0], data.samples.images[0, 2])
    assert "4 of 5 images are grey and were converted to RGB like the others." in data.remarks


def test_grey_pictures_in_colour_files_are_grey(flat: Path) -> None:
    Image.open(flat / "a" / "1.png").convert("RGB").save(flat / "a" / "1.png")
    assert load(flat).samples.images.shape[1] == 1


@pytest.mark.parametrize(("channels", "count"), [("grey", 1), ("rgb", 3), ("auto", 3)])
def test_channels_can_be_chosen(flat: Path, channels: str, count: int) -> None:
    save(flat / "b" / "3.png", mode="RGB", value=9)
    assert load(flat, channels=channels).samples.images.shape[1] == count


def test_mixed_sizes_are_resized_with_one_remark(flat: Path) -> None:
    save(flat / "a" / "3.png", size=(20, 31))
    save(flat / "b" / "3.png", size=(64, 64))
    data = load(flat, size=16)
    assert data.samples.images.shape == (6, 1, 16, 16)
    assert data.remarks == ("6 of 6 images were resized from 8x8..64x64 to 16x16.",)


def test_resizing_is_antialiased(tmp_path: Path) -> None:
    checks = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(checks).save(tmp_path / name / "1.png")
    images = load(tmp_path, size=8).samples.images.float()
    assert torch.all((images - 127.5).abs() < 4)


def test_equal_images_that_are_too_large_become_square(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        save(tmp_path / name, size=(40, 20))
    assert load(tmp_path, size=32).samples.images.shape == (2, 1, 32, 32)
    assert load(tmp_path, size=40).samples.images.shape == (2, 1, 20, 40)


@pytest.mark.parametrize(
    ("suffix", "modes"),
    [
        ("png", "RGBA LA P 1 I;16 RGB L"),
        ("jpg", "1 CMYK RGB L"),
        ("tif", "RGBA LA P 1 CMYK I;16 RGB L"),
        ("gif", "RGBA LA P 1 RGB L"),
        ("webp", "RGBA P RGB L"),
        ("bmp", "RGBA P 1 RGB L"),
    ],
)
def test_every_mode_and_format_is_read(flat: Path, suffix: str, modes: str) -> None:
    for number, mode in enumerate(modes.split()):
        save(flat / "b" / f"{number + 3}.{suffix}", mode=mode)
    data = load(flat)
    assert len(data.samples) == 4 + len(modes.split())
    assert data.samples.images.float().flatten(1).std(dim=1).min() > 10


def test_transparent_pixels_are_put_on_white(flat: Path) -> None:
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(flat / "a" / "1.png")
    Image.new("RGBA", (8, 8), (0, 0, 0, 255)).save(flat / "a" / "2.png")
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([9, 9, 9, 200, 0, 0])
    palette.save(flat / "b" / "1.png", transparency=1)
    data = load(flat)
    assert int(data.samples.images[0].min()) == 255
    assert int(data.samples.images[1].max()) == 0
    assert int(data.samples.images[2].min()) == 255
    assert data.remarks == (
        "3 of 4 images were converted to 8-bit grey or RGB (by mode: P 1, RGBA 2).",
        "2 of 4 images have transparent pixels and were put on white.",
    )


def test_sixteen_bits_become_eight(flat: Path) -> None:
    deep = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(deep).save(flat / "a" / "1.png")
    pixels = load(flat).samples.images[0, 0].numpy().astype(float)
    np.testing.assert_allclose(pixels, deep / 257.0, atol=0.51)


def test_exif_orientation_is_followed(tmp_path: Path) -> None:
    upright = Image.new("L", (6, 8))
    upright.paste(255, (0, 0, 6, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    upright.save(tmp_path / "a" / "1.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b" / "1.png", exif=exif)
    data = load(tmp_path)
    assert torch.equal(data.samples.images[0], data.samples.images[1])
    assert data.remarks == ("1 of 2 images were rotated or mirrored by their EXIF orientation.",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    save(tmp_path / "a" / "1.png", size=(6, 8), value=1)
    save(tmp_path / "b" / "1.png", size=(6, 8), value=1)
    how = Image.Transpose
    turn = {
        1: None,
        2: how.FLIP_LEFT_RIGHT,
        3: how.ROTATE_180,
        4: how.FLIP_TOP_BOTTOM,
        5: how.TRANSPOSE,
        6: how.ROTATE_90,
        7: how.TRANSVERSE,
        8: how.ROTATE_270,
    }[orientation]
    image = Image.open(tmp_path / "b" / "1.png")
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image if turn is None else image.transpose(turn)
    stored.save(tmp_path / "b" / "1.png", exif=exif)
    images = load(tmp_path).samples.images
    assert torch.equal(images[0], images[1])


def test_several_frames_give_the_first(flat: Path) -> None:
    first, second = Image.new("L", (8, 8), 10), Image.new("L", (8, 8), 200)
    first.save(flat / "a" / "1.gif", save_all=True, append_images=[second])
    data = load(flat)
    assert "1 of 5 images hold several frames; the first frame is used." in data.remarks
    assert int(data.samples.images[0].max()) == 10


def test_other_files_are_ignored_with_a_remark(flat: Path) -> None:
    (flat / "notes.txt").write_text("")
    (flat / ".git").mkdir()
    (flat / "a" / ".hidden.png").write_text("")
    (flat / "a" / "labels.csv").write_text("")
    data = load(flat)
    assert len(data.samples) == 4
    assert data.remarks == (
        "2 files or folders were ignored (no image): notes.txt, a/labels.csv.",
        "2 hidden files or files of the system were ignored: .git, .hidden.png.",
    )


def test_a_cyclic_link_does_not_repeat_images(flat: Path) -> None:
    (flat / "a" / "loop").symlink_to(flat / "a")
    assert len(load(flat).samples) == 4


def test_a_large_photo_is_no_bomb(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(flat / "b" / "3.png", size=(60, 60))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    assert len(load(flat).samples) == 5


def test_other_folders_beside_the_parts_are_ignored(parted: Path) -> None:
    (parted / "meta").mkdir()
    assert "meta" in load(parted).remarks[0]
