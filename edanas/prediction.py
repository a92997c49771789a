"""Predictions with names: of image files, of folders, of whatever an iterator yields."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import length_hint
from pathlib import Path
from typing import Any, NamedTuple

from edanas.core.errors import DataError
from edanas.core.progress import Progress, Silent
from edanas.data.files import image_files
from edanas.data.reading import read_batches
from edanas.exits.eenn import EENN

Source = str | Path | Iterable[Any]


class Answer(NamedTuple):
    """What an EENN says about one image.

    Args:
        name: The file's path, the name that came with the image, or its number, from 1.
        label: From 0.
        class_name: `network.classes[label]`.
        exit: The index of the exit point where it left, or N for the last exit.
        confidence: In [0, 1], at that exit.
    """

    name: str
    label: int
    class_name: str
    exit: int
    confidence: float


def stream(
    network: EENN,
    source: Source,
    *,
    batch_size: int = 256,
    compact: str = "auto",
    progress: Progress | None = None,
    on_unreadable: Callable[[DataError], None] | None = None,
) -> Iterator[Answer]:
    """Classify images as they come; no more than a batch is in memory.

    Args:
        network: In eval mode.
        source: The path of an image or of a folder, whose images are found in it and below; several of these;
            or an iterable of images (see `EENN.predict`) or of pairs (name, image).
        batch_size: How many images are read and computed at once.
        compact: See `EENN.predict`.
        progress: Where to show a bar; nothing is shown if left out.
        on_unreadable: Called with the error for each file that cannot be read, which is then passed over.

    Yields:
        An `Answer` for each image, in order.

    Raises:
        DataError: A path leads to no image, a file cannot be read (without `on_unreadable`), or something is
            no image.
        ConfigError: `batch_size` or `compact` is out of range.
    """
    network.predict([], batch_size=batch_size, compact=compact)  # refuses what is wrong before it reads
    read, total = _reader(network, source, on_unreadable)
    with (progress or Silent()).task("Predicting", total) as bar:
        for taken, named in read(batch_size):
            if named:
                names, images = zip(*named, strict=True)
                yield from _answers(network, names, images, batch_size, compact)
            bar.advance(taken)


_Named = list[tuple[str, Any]]
_Reader = Callable[[int], Iterator[tuple[int, _Named]]]


def _answers(
    network: EENN, names: Sequence[str], images: Sequence[Any], batch_size: int, compact: str
) -> Iterator[Answer]:
    try:
        found = network.predict(images, batch_size=batch_size, compact=compact)
    except DataError as error:
        raise DataError(f"among {names[0]} to {names[-1]}: {error}") from error
    if len(found.label) != len(names):
        raise DataError(f"among {names[0]} to {names[-1]}: found a batch of images; allowed: one image each")
    rows = zip(names, *(each.tolist() for each in found), strict=True)
    for name, label, left_at, confidence in rows:
        yield Answer(name, label, network.classes[label], left_at, confidence)


def _reader(
    network: EENN, source: Source, on_unreadable: Callable[[DataError], None] | None
) -> tuple[_Reader, int | None]:
    """What yields (images taken, those that are images, with names) by batches, and how many there are."""
    paths = [source] if isinstance(source, str | Path) else source
    if isinstance(paths, list | tuple) and paths and all(isinstance(each, str | Path) for each in paths):
        files = image_files(paths)
        return lambda size: _from_files(network, files, size, on_unreadable), len(files)
    if not isinstance(paths, Iterable):
        raise DataError(f"source: found a {type(source).__name__}; allowed: paths, or an iterable of images")
    count = length_hint(paths, -1)
    return lambda size: _from_iterable(paths, size), None if count < 0 else count


def _from_files(
    network: EENN, files: Sequence[Path], size: int, on_unreadable: Callable[[DataError], None] | None
) -> Iterator[tuple[int, _Named]]:
    grey = len(network.mean) == 1
    for taken, images in read_batches(
        files, size, network.resolution, grey=grey, on_unreadable=on_unreadable
    ):
        yield taken, [(str(path), image) for path, image in images]


def _from_iterable(images: Iterable[Any], size: int) -> Iterator[tuple[int, _Named]]:
    rest = enumerate(images, start=1)
    while batch := list(itertools.islice(rest, size)):
        named = [
            each if isinstance(each, tuple) and isinstance(each[0], str) else (str(number), each)
            for number, each in batch
        ]
        yield len(named), named
