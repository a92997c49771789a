"""Windows of pooling layers: for each row or column of the result, the rows or columns that it reads."""

from typing import NamedTuple


class Window(NamedTuple):
    """The rows, or the columns, under one output pixel.

    Args:
        start: First index.
        stop: Index after the last one.
        size: Number by which a mean divides; larger than `stop - start` if padding counts.

    Example:
        >>> Window(0, 2, 2).stop
        2
    """

    start: int
    stop: int
    size: int


def pooling_windows(
    before: int, after: int, kernel: int, stride: int, pad: int, *, include_pad: bool
) -> list[Window]:
    """Return the windows of a pooling layer along one dimension.

    Args:
        before: Number of pixels of the input.
        after: Number of pixels of the result.
        kernel: Number of pixels of a window.
        stride: Distance of two windows.
        pad: Number of pixels of padding on each side.
        include_pad: True if means count pixels of padding.

    Example:
        >>> pooling_windows(3, 2, kernel=2, stride=2, pad=0, include_pad=True)
        [Window(start=0, stop=2, size=2), Window(start=2, stop=3, size=1)]
    """
    windows = []
    for at in range(after):
        begin = at * stride - pad
        end = min(begin + kernel, before + pad)
        start, stop = max(begin, 0), min(end, before)
        windows.append(Window(start, stop, end - begin if include_pad else stop - start))
    return windows


def adaptive_windows(before: int, after: int) -> list[Window]:
    """Return the windows of torch's adaptive pooling along one dimension.

    Args:
        before: Number of pixels of the input.
        after: Number of pixels of the result.

    Example:
        >>> adaptive_windows(3, 1)
        [Window(start=0, stop=3, size=3)]
    """
    ends = [(at * before // after, -(-(at + 1) * before // after)) for at in range(after)]
    return [Window(start, stop, stop - start) for start, stop in ends]
