"""Image files: which files a path names, and their pixels batch by batch."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch

from edanas.core.errors import DataError
from edanas.data.decoding import SUFFIXES, decode_each


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


def read_batches(
    files: Sequence[Path],
    count: int,
    size: int,
    *,
    grey: bool,
    on_unreadable: Callable[[DataError], None] | None = None,
) -> Iterator[tuple[int, list[tuple[Path, torch.Tensor]]]]:
    """Read image files in order.

    Args:
        files: Any number of files.
        count: How many are read at once.
        size: See `decode_each`.
        grey: See `decode_each`.
        on_unreadable: Called with the error for each file that cannot be read, which is then passed over.

    Yields:
        How many files were taken, and those that are images, (C, H, W) uint8 each.

    Raises:
        DataError: A file cannot be read, without `on_unreadable`.
    """
    for start in range(0, len(files), count):
        batch = files[start : start + count]
        images: list[tuple[Path, torch.Tensor]] = []
        for path, image in zip(batch, decode_each(batch, size, grey=grey), strict=True):
            if not isinstance(image, DataError):
                images.append((path, image))
            elif on_unreadable is None:
                raise image
            else:
                on_unreadable(image)
        yield len(batch), images
