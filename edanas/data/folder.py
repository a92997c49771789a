"""The data set `folder`: images in one folder for each class, optionally divided into parts by folders."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from edanas.core.contracts import DataSource
from edanas.core.errors import ConfigError, DataError, near_miss
from edanas.core.hookspecs import hookimpl
from edanas.core.types import ImageSet, LoadedData
from edanas.data.cache import decode_once
from edanas.data.decoding import SUFFIXES, Fit

PART_FOLDERS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
"""Name of a folder -> the part of the data that its images belong to."""

CHANNELS = ("auto", "grey", "rgb")
"""Allowed values of the option `channels`."""


@dataclass
class ImageListing:
    """The image files of a folder, in an order that is the same on every machine.

    Args:
        files: Paths of the images.
        classes: Name of the class of each file in `files`.
        parts: Name of the part of each file in `files`; the empty text means that the split chooses the part.
        ignored: Paths of files and folders that are hidden or are not images.
    """

    files: list[Path] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)


class Folder(DataSource):
    """Images in folders named after their classes, e.g. `cat/1.png`.

    The class folders are in `path`, or in `train/`, `val/` and `test/` under `path`. Images in `val/` and
    `test/` form the validation and the test part; the split divides all other images. Class folders may have
    subfolders.

    Args:
        path: Path of the folder; required.
        channels: `grey` (one channel), `rgb` (three channels), or `auto` (default): grey if every image is
            grey.

    Raises:
        ConfigError: `path` is empty, or `channels` is unknown.
    """

    def __init__(self, *, path: str = "", channels: str = "auto") -> None:
        if not path:
            raise ConfigError("data.path: found nothing; expected the path of a folder of class folders")
        if channels not in CHANNELS:
            raise ConfigError(f"data.channels: found '{channels}'.{near_miss(channels, CHANNELS)}")
        self.path = Path(path).expanduser()
        self.channels = channels

    def load(self, size: int, seed: int) -> LoadedData:
        """Decode all images; see `DataSource.load`.

        Transparent pixels are blended with white, and images are rotated by their EXIF orientation.

        Raises:
            DataError: The folder has no class folders, or a file cannot be read as an image.
        """
        return self._load(size)

    def load_at(self, image_size: tuple[int, int], seed: int) -> LoadedData:
        """Decode all images and resize each straight to `image_size`; see `DataSource.load_at`."""
        return self._load(image_size)

    def _load(self, fit: Fit) -> LoadedData:
        listing = find_images(self.path)
        classes = sorted(set(listing.classes), key=_natural_key)
        label_of = {name: label for label, name in enumerate(classes)}
        images, remarks = decode_once(listing.files, fit, self.channels)
        labels = torch.tensor([label_of[name] for name in listing.classes], dtype=torch.int64)
        samples = ImageSet(images, labels, tuple(classes))
        remarks = (*_ignored_remark(listing.ignored, self.path), *remarks)
        return LoadedData(samples, np.array(listing.parts, dtype=np.str_), remarks)


def find_images(root: Path) -> ImageListing:
    """List the image files of a folder with their classes and parts.

    Args:
        root: The folder with class folders; `Folder` describes its layout.

    Raises:
        DataError: The folder has fewer than two class folders, or a class folder has no image. The parts have
            different classes, or a folder cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("cat/1.png", "dog/1.png", "dog/2.png"):
        ...         path = Path(folder) / name
        ...         path.parent.mkdir(exist_ok=True)
        ...         _ = path.write_bytes(b"")
        ...     find_images(Path(folder)).classes
        ['cat', 'dog', 'dog']
    """
    try:
        return _find(root)
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot be read: {error.strerror}") from error


def _find(root: Path) -> ImageListing:
    if not root.exists():
        raise DataError(f"{root}: no such folder")
    if not root.is_dir():
        raise DataError(f"{root}: is a file; expected a folder of class folders")
    listing = ImageListing()
    top = _folders(root, listing)
    parts = _part_folders(root, top)
    if parts is None:
        _find_classes(root, top, "", listing)
        return listing
    listing.ignored += [folder for folder in top if folder not in parts.values()]
    class_folders = {}
    for part, folder in parts.items():
        class_folders[part] = _folders(folder, listing)
        _find_classes(folder, class_folders[part], part, listing)
    _check_agreement(
        parts, {part: {each.name for each in folders} for part, folders in class_folders.items()}
    )
    return listing


def _part_folders(root: Path, top: Sequence[Path]) -> dict[str, Path] | None:
    """Return part -> folder, or `None` if `root` holds class folders.

    CIFAR-100 has a class "train", so `train/` is a part only if it contains folders.
    """
    named_like_parts = [folder for folder in top if folder.name in PART_FOLDERS]
    nested = [folder for folder in named_like_parts if any(each.is_dir() for each in _visible(folder))]
    if not nested and (not named_like_parts or len(named_like_parts) < len(top)):
        return None
    if "train" not in {folder.name for folder in nested}:
        names = ", ".join(f"{folder.name}/" for folder in named_like_parts)
        raise DataError(f"{root}: found {names} but no class folders in train/; expected train/CLASS/IMAGE")
    parts: dict[str, Path] = {}
    for folder in named_like_parts:
        part = PART_FOLDERS[folder.name]
        if part in parts:
            raise DataError(
                f"{root}: found both {parts[part].name}/ and {folder.name}/; one {part} part is allowed"
            )
        parts[part] = folder
    return parts


def _find_classes(root: Path, folders: Sequence[Path], part: str, listing: ImageListing) -> None:
    if len(folders) < 2:
        names = ", ".join(f"'{folder.name}'" for folder in folders) or "none"
        raise DataError(f"{root}: at least 2 class folders are needed; found {names}")
    for folder in sorted(folders, key=lambda each: _natural_key(each.name)):
        files = list(_images(folder, listing))
        if not files:
            raise DataError(
                f"{folder}: class folder without an image; images end in {', '.join(sorted(SUFFIXES))}"
            )
        listing.files += files
        listing.classes += [folder.name] * len(files)
        listing.parts += [part] * len(files)


def _check_agreement(parts: Mapping[str, Path], classes: Mapping[str, set[str]]) -> None:
    for part, folder in parts.items():
        for other, beside in ((part, "train"), ("train", part)):
            missing = sorted(classes[beside] - classes[other], key=_natural_key)
            if missing:
                names = ", ".join(f"'{name}'" for name in missing)
                raise DataError(
                    f"{parts[other]}: no class folder for {names}, which {parts[beside].name}/ has; "
                    f"{folder.name}/ and {parts['train'].name}/ must hold the same classes"
                )


def _images(folder: Path, listing: ImageListing) -> Iterator[Path]:
    """Yield the image files in `folder` and its subfolders, in an order that is the same on every machine."""
    for path in _visible(folder, listing):
        if path.is_dir() and not path.is_symlink():
            yield from _images(path, listing)
        elif path.suffix.lower() in SUFFIXES:
            yield path
        else:
            listing.ignored.append(path)


def _folders(root: Path, listing: ImageListing) -> list[Path]:
    entries = _visible(root, listing)
    listing.ignored += [path for path in entries if not path.is_dir()]
    return [path for path in entries if path.is_dir()]


def _visible(folder: Path, listing: ImageListing | None = None) -> list[Path]:
    """Return the sorted entries of `folder` that are neither hidden nor metadata of macOS."""
    with os.scandir(folder) as entries:
        paths = sorted((Path(entry.path) for entry in entries), key=lambda path: _natural_key(path.name))
    hidden = [path for path in paths if path.name.startswith((".", "__MACOSX"))]
    if listing is not None:
        listing.ignored += hidden
    return [path for path in paths if path not in hidden]


def _natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sorting key that compares digits as numbers, so that "class2" precedes "class10"."""
    pieces = re.split(r"([0-9]+)", name)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces if piece], name


def _ignored_remark(paths: Sequence[Path], root: Path) -> tuple[str, ...]:
    if not paths:
        return ()
    names = [path.relative_to(root).as_posix() for path in paths[:3]]
    more = ", ..." if len(paths) > len(names) else ""
    return (f"{len(paths)} files or folders were ignored (hidden, or no image): {', '.join(names)}{more}.",)


@hookimpl
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:
    """Register the data set `folder`."""
    return {"folder": Folder}
