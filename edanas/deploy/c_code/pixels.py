"""Pixels of 8 bits -> the first tensor: resizing with whole numbers, and a table for each channel."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edanas.core.preprocess import resampling_weights
from edanas.deploy.c_code.fixed_point import clipped
from edanas.deploy.c_code.layers import Bytes, Tensor

_BITS = 11
"""Number of bits after the binary point of a weight; the sum over rows and columns then fits 32 bits."""


@dataclass(frozen=True)
class Pixels:
    """The preprocessing of a network.

    Args:
        output: The first tensor of the network.
        width: Width of an image in pixels.
        height: Height of an image in pixels.
        table: (C, 256) int8: number of the tensor for each value of a pixel in each of C channels.

    Example:
        >>> table = np.arange(-128, 128, dtype=np.int8)[None]
        >>> Pixels(Tensor("x", (1, 1, 1), 1.0, 0), 1, 1, table).run(np.full((1, 1, 1, 1), 130, np.uint8))
        array([[[[2]]]], dtype=int8)
    """

    output: Tensor
    width: int
    height: int
    table: Bytes

    @property
    def resizes(self) -> bool:
        """True if images have another size than the first tensor."""
        return (self.height, self.width) != self.output.shape[:2]

    @property
    def constants(self) -> int:
        """Number of bytes of tables in flash."""
        sizes = [2 * weights.size + 4 * len(weights) for weights in self.weights()] if self.resizes else []
        return int(self.table.size) + sum(sizes)

    def weights(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the weights (after, before) of rows and of columns, which sum to 2**11."""
        height, width, _ = self.output.shape
        return whole_weights(self.height, height), whole_weights(self.width, width)

    def run(self, images: npt.NDArray[np.uint8]) -> Bytes:
        """Return the first tensor (B, H, W, C) for images (B, C, `height`, `width`)."""
        pixels = images.astype(np.int64)
        if self.resizes:
            rows, columns = self.weights()
            pixels = (rows @ pixels @ columns.T + (1 << (2 * _BITS - 1))) >> (2 * _BITS)
        channels = [table[pixels[:, at]] for at, table in enumerate(self.table)]
        return np.stack(channels, axis=-1)


def whole_weights(before: int, after: int) -> npt.NDArray[np.int64]:
    """Return the weights of resampling as whole numbers; each row sums to 2**11.

    Example:
        >>> whole_weights(2, 1)
        array([[1024, 1024]])
    """
    weights = resampling_weights(before, after)
    whole = np.round(weights * (1 << _BITS)).astype(np.int64)
    for row, exact in zip(whole, weights, strict=True):
        row[exact.argmax()] += (1 << _BITS) - row.sum()
    return whole


def pixel_table(mean: Sequence[float], std: Sequence[float], tensor: Tensor) -> Bytes:
    """Return the number of a tensor for each value of a pixel, (C, 256), after normalisation by channel."""
    pixels = np.arange(256) / 255
    real = (pixels - np.array(mean)[:, None]) / np.array(std)[:, None]
    return clipped(np.round(real / tensor.scale) + tensor.zero)
