"""Windows of an endless signal that arrives in chunks, such as the stream of a microphone or a sensor."""

from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import ConfigError, DataError
from edanas.data.plain_arrays import as_array


def windows(
    chunks: Iterable[Any], channels: int, window: int, hop: int
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yield windows of a signal as soon as their last value has arrived.

    Chunks may have any length, also 0 or more than a window; windows do not depend on the cuts between them.
    Values after the last whole window are not part of a window.

    Args:
        chunks: Parts of the signal in order: arrays or tensors (C, n); with one channel also (n,) or (n, 1).
        channels: Number C of channels.
        window: Number of values of a window, 1 or more.
        hop: Number of values from the begin of a window to the begin of the next, 1 or more.

    Yields:
        The positions of the first value and after the last value, e.g. `100-300`, and the window
        (C, `window`).

    Raises:
        ConfigError: `window` or `hop` is no whole number, or below 1.
        DataError: A chunk has another shape or is not finite; the message has its number, from 1.

    Example:
        >>> parts = [np.arange(3.0), np.arange(3.0, 7.0)]
        >>> [(name, each.tolist()) for name, each in windows(parts, channels=1, window=4, hop=2)]
        [('0-4', [[0.0, 1.0, 2.0, 3.0]]), ('2-6', [[2.0, 3.0, 4.0, 5.0]])]
    """
    sizes: tuple[tuple[str, Any], ...] = ("window", window), ("hop", hop)
    for name, value in sizes:
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ConfigError(f"{name}: found {value!r}; allowed: whole numbers, 1 or more")
    waiting = np.zeros((channels, 0), dtype=np.float32)
    begin = skipped = 0
    for number, chunk in enumerate(chunks, start=1):
        part = _checked(chunk, channels, number)
        # A hop beyond the window skips values, which may lie in chunks to come.
        part, skipped = part[:, skipped:], max(0, skipped - part.shape[1])
        waiting = np.concatenate([waiting, part], axis=1)
        while waiting.shape[1] >= window:
            yield f"{begin}-{begin + window}", waiting[:, :window].copy()
            begin += hop
            skipped = max(0, hop - waiting.shape[1])
            waiting = waiting[:, hop:]


def _checked(chunk: Any, channels: int, number: int) -> npt.NDArray[np.float32]:
    """Return a chunk as an array (C, n).

    Raises:
        DataError: It has another shape or type, or is not finite.
    """
    try:
        array = as_array(chunk)
    except DataError as error:
        raise DataError(f"chunk {number}: {error}") from error
    if array.dtype.kind not in "fiu":
        raise DataError(f"chunk {number}: found values of type {array.dtype}; allowed: numbers")
    shaped = array[None] if array.ndim == 1 and channels == 1 else array
    if channels == 1 and array.ndim == 2 and array.shape[1] == 1:
        shaped = array.T
    if shaped.ndim != 2 or shaped.shape[0] != channels:
        allowed = f"({channels}, n)" + (" or (n,) or (n, 1)" if channels == 1 else "")
        raise DataError(f"chunk {number}: found shape {tuple(array.shape)}; allowed: {allowed}")
    if not np.isfinite(shaped).all():
        channel, position = np.argwhere(~np.isfinite(shaped))[0]
        raise DataError(
            f"chunk {number}: found a value that is not finite in channel {channel}, position {position}; "
            "allowed: finite values"
        )
    return shaped.astype(np.float32)
