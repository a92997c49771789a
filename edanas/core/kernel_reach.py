"""The part of a convolution's kernel that reaches the features; other weights only meet padding zeros."""

from typing import NamedTuple


class Reach(NamedTuple):
    """The weights of a kernel, along rows or columns, that reach the features at some output position.

    Args:
        first: Index of the first such weight.
        size: Number of such weights.
        padding: Number of zeros on both ends with which the cut kernel computes the same output.
    """

    first: int
    size: int
    padding: int


def reach(side: int, kernel: int, stride: int, padding: int) -> Reach:
    """Return the weights of a kernel that reach features of a given side; the kernel can be cut to them.

    A kernel of `kernel` weights reaches at most `2 * side - 1` of them at stride 1. The whole kernel is
    returned if a cut kernel would need different padding on the two ends.

    Args:
        side: Height or width of the features, 1 or more.
        kernel: Number of weights of the kernel along that side.
        stride: Stride of the convolution.
        padding: Number of zeros that the convolution adds on both ends.

    Example:
        >>> reach(side=2, kernel=7, stride=1, padding=3)
        Reach(first=2, size=3, padding=1)
        >>> reach(side=2, kernel=7, stride=2, padding=3)
        Reach(first=3, size=2, padding=0)
    """
    whole = Reach(0, kernel, padding)
    last_start = (side + 2 * padding - kernel) // stride * stride - padding
    if last_start < -padding:
        return whole
    first, stop = max(0, -last_start), min(kernel, side + padding)
    left = padding - first
    # Zeros on the far end that the last position of the cut kernel covers.
    right = last_start + stop - side
    size = stop - first
    spare = (side + 2 * left - size) // stride * stride - left - (last_start + first)
    if left < 0 or size < 1 or right > left or spare:
        return whole
    return Reach(first, size, left)
