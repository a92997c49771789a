"""A folder of class folders, flat or in parts: which file belongs to which class and part."""

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
from edanas.data.decoding import SUFFIXES

PART_FOLDERS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
"""Folder names that set samples apart, and the part they stand for."""

CHANNELS = ("auto", "grey", "rgb")


@dataclass
class Found:
    """Image files in order, each with its class's and part's name, and what was passed over."""

    files: list[Path] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)


class Folder(DataSource):
    """A folder of class folders, or of `train/`, `val/`, `test/` with class folders; images of any kind.

    Args:
        path: The folder. Images may stand in subfolders of a class folder.
        channels: `auto` (grey where every image is grey), `grey` or `rgb`.
    """

    def __init__(self, *, path: str = "", channels: str = "auto") -> None:
        if not path:
            raise ConfigError("data.path: found nothing; expected the path of a folder of class folders")
        if channels not in CHANNELS:
            raise ConfigError(f"data.channels: found '{channels}'.{near_miss(channels, CHANNELS)}")
        self.path = Path(path).expanduser()
        self.channels = channels

    def load(self, size: int, seed: int) -> LoadedData:
        """See `DataSource.load`; transparency is laid over white, EXIF orientation is followed."""
        found = find_images(self.path)
        classes = sorted(set(found.classes), key=_natural)
        number = {name: label for label, name in enumerate(classes)}
        images, remarks = decode_once(found.files, size, self.channels)
        labels = torch.tensor([number[name] for name in found.classes], dtype=torch.int64)
        samples = ImageSet(images, labels, tuple(classes))
        remarks = (*_ignored(found.ignored, self.path), *remarks)
        return LoadedData(samples, np.array(found.parts, dtype=np.str_), remarks)


def find_images(root: Path) -> Found:
    """Every image file of a folder with its class and part.

    Raises:
        DataError: It is no folder of class folders, or cannot be read.
    """
    try:
        return _find(root)
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot be read: {error.strerror}") from error


def _find(root: Path) -> Found:
    if not root.exists():
        raise DataError(f"{root}: no such folder")
    if not root.is_dir():
        raise DataError(f"{root}: is a file; expected a folder of class folders")
    found = Found()
    top = _folders(root, found)
    parts = _part_folders(root, top)
    if parts is None:
        _find_classes(root, top, "", found)
        return found
    found.ignored += [folder for folder in top if folder not in parts.values()]
    named = {}
    for part, folder in parts.items():
        named[part] = _folders(folder, found)
        _find_classes(folder, named[part], part, found)
    _check_agreement(parts, {part: {each.name for each in folders} for part, folders in named.items()})
    return found


def _part_folders(root: Path, top: Sequence[Path]) -> dict[str, Path] | None:
    """Part -> folder where `root` is laid out in parts, `None` where it holds class folders.

    A class may be called "train" (CIFAR-100 has one): only a `train/` that holds folders is a part.
    """
    special = [folder for folder in top if folder.name in PART_FOLDERS]
    nested = [folder for folder in special if any(each.is_dir() for each in _visible(folder))]
    if not nested and (not special or len(special) < len(top)):
        return None
    if "train" not in {folder.name for folder in nested}:
        names = ", ".join(f"{folder.name}/" for folder in special)
        raise DataError(f"{root}: found {names} but no class folders in train/; expected train/CLASS/IMAGE")
    parts: dict[str, Path] = {}
    for folder in special:
        part = PART_FOLDERS[folder.name]
        if part in parts:
            raise DataError(
                f"{root}: found both {parts[part].name}/ and {folder.name}/; one {part} part is allowed"
            )
        parts[part] = folder
    return parts


def _find_classes(root: Path, folders: Sequence[Path], part: str, found: Found) -> None:
    if len(folders) < 2:
        names = ", ".join(f"'{folder.name}'" for folder in folders) or "none"
        raise DataError(f"{root}: at least 2 class folders are needed; found {names}")
    for folder in sorted(folders, key=lambda each: _natural(each.name)):
        files = list(_images(folder, found))
        if not files:
            raise DataError(
                f"{folder}: class folder without an image; an image ends in {', '.join(sorted(SUFFIXES))}"
            )
        found.files += files
        found.classes += [folder.name] * len(files)
        found.parts += [part] * len(files)


def _check_agreement(parts: Mapping[str, Path], classes: Mapping[str, set[str]]) -> None:
    for part, folder in parts.items():
        for other, beside in ((part, "train"), ("train", part)):
            missing = sorted(classes[beside] - classes[other], key=_natural)
            if missing:
                names = ", ".join(f"'{name}'" for name in missing)
                raise DataError(
                    f"{parts[other]}: no class folder for {names}, which {parts[beside].name}/ has; "
                    f"{folder.name}/ and {parts['train'].name}/ must hold the same classes"
                )


def _images(folder: Path, found: Found) -> Iterator[Path]:
    """Image files in `folder` and below, in an order that does not depend on the machine."""
    for path in _visible(folder, found):
        if path.is_dir() and not path.is_symlink():
            yield from _images(path, found)
        elif path.suffix.lower() in SUFFIXES:
            yield path
        else:
            found.ignored.append(path)


def _folders(root: Path, found: Found) -> list[Path]:
    entries = _visible(root, found)
    found.ignored += [path for path in entries if not path.is_dir()]
    return [path for path in entries if path.is_dir()]


def _visible(folder: Path, found: Found | None = None) -> list[Path]:
    """What stands in `folder`, sorted, without what is hidden or another system's bookkeeping."""
    with os.scandir(folder) as entries:
        paths = sorted((Path(entry.path) for entry in entries), key=lambda path: _natural(path.name))
    hidden = [path for path in paths if path.name.startswith((".", "__MACOSX"))]
    if found is not None:
        found.ignored += hidden
    return [path for path in paths if path not in hidden]


def _natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A sorting key by which "class2" stands before "class10"."""
    pieces = re.split(r"([0-9]+)", name)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces if piece], name


def _ignored(paths: Sequence[Path], root: Path) -> tuple[str, ...]:
    if not paths:
        return ()
    names = [path.relative_to(root).as_posix() for path in paths[:3]]
    more = ", ..." if len(paths) > len(names) else ""
    return (
        f"{len(paths)} files or folders are hidden or no images and were ignored: {', '.join(names)}{more}.",
    )


@hookimpl
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:
    """Image folders."""
    return {"folder": Folder}
