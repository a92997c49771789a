"""Listing of the image files at given paths, and decoding of the files in batches."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch

from edanas.core.errors import DataError
from edanas.data.decoding import SUFFIXES, Fit, decode_each
from edanas.data.system_files import is_hidden


def image_files(paths: Iterable[str | Path], suffixes: frozenset[str] = SUFFIXES) -> list[Path]:
    """Return the image files at the given paths, in order.

    A folder is replaced by the sorted image files in it and in its subfolders, without hidden files.

    Args:
        paths: Paths of files and folders. A file is returned whatever its suffix.
        suffixes: Endings of the files that are found in folders; those of images by default.

    Raises:
        DataError: A path does not exist, a folder cannot be read, or a folder holds no image.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.png", "a.JPG", "notes.txt"):
        ...         _ = (Path(folder) / name).write_bytes(b"")
        ...     print([path.name for path in image_files([folder])])
        ['a.JPG', 'b.png']
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            images = sorted(_images_below(path, suffixes))
            if not images:
                endings, kind = ", ".join(sorted(suffixes)), "image" if suffixes == SUFFIXES else "recording"
                raise DataError(f"{path}: no {kind} in this folder or below; {kind}s end in {endings}")
            files += images
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"{path}: no such file or folder; expected an image, or a folder of images")
    return files


def _images_below(folder: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    """Yield the images in a folder and all folders below; linked folders are followed, each folder once."""
    visited: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(folder, onerror=_raise_data_error, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in names:
            if Path(name).suffix.lower() in suffixes and not is_hidden(name):
                yield Path(parent) / name


def _raise_data_error(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error


def read_batches(
    files: Sequence[Path],
    count: int,
    fit: Fit,
    *,
    grey: bool,
    on_unreadable: Callable[[DataError], None] | None = None,
) -> Iterator[tuple[int, list[tuple[Path, torch.Tensor]]]]:
    """Read image files in order, batch by batch.

    Args:
        files: Paths of image files; may be empty.
        count: Number of files in a batch; the last batch may have fewer files.
        fit: Size of the images; see `edanas.data.decoding.Fit`.
        grey: Return images with one channel; otherwise images have three channels.
        on_unreadable: Called with the error for each file that cannot be read; the file is then skipped.
            With `None`, the default, the error is raised.

    Yields:
        For each batch, its number of files, and a list with path and image, (C, H, W) uint8, of each readable
        file.

    Raises:
        DataError: A file cannot be read, and `on_unreadable` is `None`.
    """
    for start in range(0, len(files), count):
        batch = files[start : start + count]
        images: list[tuple[Path, torch.Tensor]] = []
        for path, image in zip(batch, decode_each(batch, fit, grey=grey), strict=True):
            if not isinstance(image, DataError):
                images.append((path, image))
            elif on_unreadable is None:
                raise image
            else:
                on_unreadable(image)
        yield len(batch), images
