"""Which image files somebody means who names files and folders."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from edanas.core.errors import DataError
from edanas.data.decoding import SUFFIXES


def image_files(paths: Iterable[str | Path]) -> list[Path]:
    """Files as they are named, and of each folder all that are named like images, in it and below, sorted.

    Raises:
        DataError: A path does not exist or cannot be read, or a folder holds no image.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            below = sorted(_below(path))
            if not below:
                endings = ", ".join(sorted(SUFFIXES))
                raise DataError(f"{path}: no image in this folder or below; an image ends in {endings}")
            found += below
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path}: no such file or folder; expected an image, or a folder of images")
    return found


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not _hidden(name)]
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES and not _hidden(name):
                yield Path(place) / name


def _hidden(name: str) -> bool:
    """Hidden, or another system's bookkeeping."""
    return name.startswith((".", "__MACOSX"))


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error
