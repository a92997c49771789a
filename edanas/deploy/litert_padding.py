"""Padding of convolutions and pooling in TensorFlow Lite, which knows `SAME`, `VALID` and copies with edges.

torch pads by the same number of pixels at both ends. `SAME` pads so that the output has the input's size,
divided by the stride, and adds an odd pixel at the end. With stride 2 the two often differ.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Frame(NamedTuple):
    """Padding of one layer.

    Args:
        same: True for `SAME`, False for `VALID`.
        more_kernel: Rows and columns of zeros to append to the kernel.
        explicit: Pixels of an explicit copy before and after rows and columns; empty without a copy.
    """

    same: bool
    more_kernel: tuple[int, int] = (0, 0)
    explicit: tuple[tuple[int, int], ...] = ()


def frame(
    size: Sequence[int],
    output: Sequence[int],
    kernel: Sequence[int],
    options: Mapping[str, Any],
    weights_per_pixel: int = 0,
    elements: int = 0,
) -> Frame:
    """Return the padding with which a layer computes what torch computes.

    A kernel with additional zeros can make `SAME` begin where torch begins. It is used if the zeros take
    fewer bytes than a padded copy of the features.

    Args:
        size: Height and width of the features.
        output: Height and width of the output.
        kernel: Height and width of the kernel.
        options: `stride`, `padding` and `dilation`.
        weights_per_pixel: Number of weights for one pixel of the kernel; 0 for pooling, whose kernel cannot
            be enlarged.
        elements: Number of elements of the features.

    Example:
        >>> options = {"stride": (2, 2), "padding": (1, 1), "dilation": (1, 1)}
        >>> frame((8, 8), (4, 4), (3, 3), options)
        Frame(same=False, more_kernel=(0, 0), explicit=((1, 0), (1, 0)))
        >>> frame((8, 8), (4, 4), (3, 3), options, weights_per_pixel=16, elements=1024)
        Frame(same=True, more_kernel=(1, 1), explicit=())
    """
    sides = list(
        zip(size, output, kernel, options["stride"], options["padding"], options["dilation"], strict=True)
    )
    ends = [_end(*side) for side in sides]
    paddings = options["padding"]
    if all(padding == 0 and end <= 0 for padding, end in zip(paddings, ends, strict=True)):
        return Frame(same=False)
    if all(_more_kernel(side) == 0 for side in sides):
        return Frame(same=True)
    if weights_per_pixel:
        more = tuple(_more_kernel(side) for side in sides)
        if len(more) == 2 and None not in more:
            rows, columns = (kernel[at] + (more[at] or 0) for at in (0, 1))
            added = (rows * columns - kernel[0] * kernel[1]) * weights_per_pixel
            if added <= elements:
                return Frame(same=True, more_kernel=(more[0] or 0, more[1] or 0))
    return Frame(same=False, explicit=tuple((p, max(end, 0)) for p, end in zip(paddings, ends, strict=True)))


def _end(size: int, output: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Return how many pixels after the last one the last window reads."""
    return (output - 1) * stride + dilation * (kernel - 1) + 1 - size - padding


def _same_begin(size: int, output: int, kernel: int, stride: int, dilation: int) -> int:
    """Return by how many pixels `SAME` pads before the first pixel; -1 if its output has another size."""
    if output != -(-size // stride):
        return -1
    return max((output - 1) * stride + dilation * (kernel - 1) + 1 - size, 0) // 2


def _more_kernel(side: tuple[int, int, int, int, int, int]) -> int | None:
    """Return how many zeros make `SAME` begin at torch's place; `None` if no small number does."""
    size, output, kernel, stride, padding, dilation = side
    for more in range(padding + 2):
        if _same_begin(size, output, kernel + more, stride, dilation) == padding:
            return more
    return None
