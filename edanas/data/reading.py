"""Image files in batches, one batch in memory at a time."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from edanas.core.errors import DataError
from edanas.data.decoding import decode_each


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
