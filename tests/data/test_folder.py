import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edanas.core.errors import ConfigError, DataError
from edanas.core.types import LoadedData
from edanas.data.folder import Folder, edanas_data_sets


def save(
    path: Path, size: tuple[int, int] = (8, 8), mode: str = "L", value: int = 0, **options: object
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(value)
    pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    if mode == "I;16":
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(path, **options)
    else:
        Image.fromarray(pixels).convert(mode).save(path, **options)


def load(path: Path, size: int = 8, **options: str) -> LoadedData:
    return Folder(path=str(path), **options).load(size, 0)


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Two classes of two grey 8x8 images."""
    for number, name in enumerate(("a/1.png", "a/2.png", "b/1.png", "b/2.png")):
        save(tmp_path / name, value=number)
    return tmp_path


@pytest.fixture
def parted(tmp_path: Path) -> Path:
    for part in ("train", "val", "test"):
        for number, name in enumerate("ab"):
            save(tmp_path / part / name / "1.png", value=number)
    return tmp_path


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


def test_classes_and_files_stand_in_natural_order_whatever_the_file_system_says(
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


def test_train_and_test_may_be_names_of_classes(tmp_path: Path) -> None:
    for name in ("bus/1.png", "train/1.png", "test/1.png"):
        save(tmp_path / name)
    data = load(tmp_path)
    assert data.samples.classes == ("bus", "test", "train")
    assert set(data.parts) == {""}


def test_colour_makes_everything_rgb(flat: Path) -> None:
    save(flat / "b" / "3.png", mode="RGB", value=9)
    data = load(flat)
    assert data.samples.images.shape == (5, 3, 8, 8)
    assert torch.equal(data.samples.images[0, 0], data.samples.images[0, 2])
    assert "4 of 5 images are grey and were made RGB like the others." in data.remarks


def test_grey_pictures_in_colour_files_are_grey(flat: Path) -> None:
    Image.open(flat / "a" / "1.png").convert("RGB").save(flat / "a" / "1.png")
    assert load(flat).samples.images.shape[1] == 1


@pytest.mark.parametrize(("channels", "count"), [("grey", 1), ("rgb", 3), ("auto", 3)])
def test_channels_can_be_chosen(flat: Path, channels: str, count: int) -> None:
    save(flat / "b" / "3.png", mode="RGB", value=9)
    assert load(flat, channels=channels).samples.images.shape[1] == count


def test_mixed_sizes_are_resized_and_said_once(flat: Path) -> None:
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


def test_transparency_is_laid_over_white(flat: Path) -> None:
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
        "2 of 4 images are transparent in part and were laid over white.",
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
    assert data.remarks == ("1 of 2 images were turned or mirrored as their EXIF orientation says.",)


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
    assert "1 of 5 images hold several frames, of which the first was taken." in data.remarks
    assert int(data.samples.images[0].max()) == 10


def test_other_files_are_ignored_with_a_remark(flat: Path) -> None:
    (flat / "notes.txt").write_text("")
    (flat / ".git").mkdir()
    (flat / "a" / ".hidden.png").write_text("")
    (flat / "a" / "labels.csv").write_text("")
    data = load(flat)
    assert len(data.samples) == 4
    assert len(data.remarks) == 1
    assert (
        "4 files or folders are hidden or no images and were ignored: .git, notes.txt, a/.hidden.png, ..."
        in (data.remarks[0])
    )


def test_a_link_that_leads_back_does_not_repeat_images(flat: Path) -> None:
    (flat / "a" / "loop").symlink_to(flat / "a")
    assert len(load(flat).samples) == 4


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


def test_a_large_photo_is_no_bomb(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(flat / "b" / "3.png", size=(60, 60))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    assert len(load(flat).samples) == 5


def test_floating_point_pixels_are_refused(flat: Path) -> None:
    Image.fromarray(np.ones((8, 8), dtype=np.float32)).save(flat / "b" / "3.tif")
    with pytest.raises(DataError, match=r"b/3.tif: .*floating-point pixels; allowed: 8 or 16 bits"):
        load(flat)


def test_an_empty_class_folder_is_named(flat: Path) -> None:
    (flat / "c").mkdir()
    (flat / "c" / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"/c: class folder without an image; an image ends in .avif, .bmp"):
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


def test_other_folders_beside_the_parts_are_ignored(parted: Path) -> None:
    (parted / "meta").mkdir()
    assert "meta" in load(parted).remarks[0]


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
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
