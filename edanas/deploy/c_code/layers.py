"""Layers with 8-bit integers: their numbers, and the reference that runs them in NumPy.

Features are (B, H, W, C) int8. A number q of a tensor stands for `scale * (q - zero)`. Weights of a
convolution have one scale for each output channel and the zero point 0. Sums have 32 bits, and a `Multiplier`
turns them into the next tensor's numbers. This is the scheme of LiteRT's int8 models, with the rounding that
LiteRT calls single rounding.

Source: Jacob and others, "Quantization and training of neural networks for efficient integer-arithmetic-only
inference", CVPR 2018.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from edanas.deploy.c_code.fixed_point import Integers, Multiplier, clipped, divided, requantised
from edanas.deploy.c_code.graph import Shape
from edanas.deploy.c_code.windows import Window

Bytes = npt.NDArray[np.int8]

LOGIT_BITS = 8
"""Number of bits after the binary point of a logit, which has 16 bits in total."""


@dataclass(frozen=True)
class Tensor:
    """Features with 8 bits.

    Args:
        name: Name of the tensor, an identifier of C.
        shape: Height, width and channels.
        scale: Real difference between two adjacent numbers.
        zero: Number that stands for 0.

    Example:
        >>> Tensor("x", (4, 4, 8), 0.5, 0).size
        128
    """

    name: str
    shape: Shape
    scale: float
    zero: int

    @property
    def size(self) -> int:
        """Number of bytes."""
        height, width, channels = self.shape
        return height * width * channels


@dataclass(frozen=True)
class Layer(ABC):
    """A layer: tensors to one tensor.

    Args:
        inputs: The tensors that the layer reads.
        output: The tensor that it writes.
    """

    inputs: tuple[Tensor, ...]
    output: Tensor

    in_place: ClassVar[bool] = False
    """True if the output may overwrite an input of the same size."""

    @property
    def constants(self) -> int:
        """Number of bytes of weights and tables in flash."""
        return 0

    @abstractmethod
    def run(self, *features: Bytes) -> npt.NDArray[np.integer]:
        """Return the output (B, H, W, C) for inputs (B, H, W, C)."""


@dataclass(frozen=True)
class Conv(Layer):
    """A convolution, or a linear layer as a convolution with a kernel of the size of its input.

    Args:
        weight: (O, KH, KW, I / groups) int8.
        bias: (O,) int32, the zero point of the input included only in the sum at run time.
        multipliers: One for each of the O output channels.
        stride: Rows and columns.
        pad: Rows of padding above, and columns of padding to the left.
        dilation: Rows and columns.
        groups: Number of groups of channels.
        low: Smallest number of the output, e.g. the zero point after ReLU.
        high: Largest number of the output.
        logits: True if the output consists of 16-bit logits with `LOGIT_BITS` bits after the binary point.
    """

    weight: Bytes
    bias: Integers
    multipliers: tuple[Multiplier, ...]
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    low: int
    high: int
    logits: bool = False

    @property
    def constants(self) -> int:
        """See `Layer.constants`: a weight has 1 byte, bias and multiplier 4 each, a shift 1."""
        return int(self.weight.size) + 9 * len(self.bias)

    def run(self, *features: Bytes) -> npt.NDArray[np.integer]:
        """See `Layer.run`. Logits are int16."""
        (source,) = self.inputs
        sums = self._sums(features[0].astype(np.int32) - source.zero) + self.bias
        values, shifts = (np.array(each, dtype=np.int64) for each in zip(*self.multipliers, strict=True))
        numbers = requantised(sums, values, shifts)
        if self.logits:
            return np.clip(numbers, self.low, self.high).astype(np.int16)
        return clipped(numbers + self.output.zero, self.low, self.high)

    def _sums(self, numbers: npt.NDArray[np.int32]) -> Integers:
        """Return the sums (B, H', W', O) of weights times numbers (B, H, W, I), the bias left out."""
        outputs, rows, columns, fan_in = self.weight.shape
        height, width, _ = self.output.shape
        below, right = (
            max(0, (after - 1) * stride + (kernel - 1) * dilation + 1 - pad - before)
            for after, stride, kernel, dilation, pad, before in zip(
                (height, width),
                self.stride,
                (rows, columns),
                self.dilation,
                self.pad,
                numbers.shape[1:3],
                strict=True,
            )
        )
        padded = np.pad(numbers, ((0, 0), (self.pad[0], below), (self.pad[1], right), (0, 0)))
        sums = np.zeros((len(numbers), height, width, outputs))
        per_group = outputs // self.groups
        for row in range(rows):
            for column in range(columns):
                top, left = row * self.dilation[0], column * self.dilation[1]
                patch = padded[
                    :,
                    top : top + (height - 1) * self.stride[0] + 1 : self.stride[0],
                    left : left + (width - 1) * self.stride[1] + 1 : self.stride[1],
                ]
                weight = self.weight[:, row, column].astype(np.float64)
                # Products and sums of these whole numbers are exact in float64, whose matrix product is fast.
                if fan_in == 1:
                    sums += np.repeat(patch, per_group, axis=-1) * weight[:, 0]
                    continue
                for group in range(self.groups):
                    own = slice(group * per_group, (group + 1) * per_group)
                    inputs = patch[..., group * fan_in : (group + 1) * fan_in].astype(np.float64)
                    sums[..., own] += inputs @ weight[own].T
        return sums.astype(np.int64)


@dataclass(frozen=True)
class Pool(Layer):
    """Mean or maximum over windows.

    Args:
        rows: Window of each row of the output.
        columns: Window of each column of the output.
        mean: The factor from input to output numbers of a mean; `None` for a maximum, which keeps numbers.
    """

    rows: tuple[Window, ...]
    columns: tuple[Window, ...]
    mean: Multiplier | None

    @property
    def constants(self) -> int:
        """See `Layer.constants`: three numbers of 16 bits for each window."""
        return 6 * (len(self.rows) + len(self.columns))

    def run(self, *features: Bytes) -> npt.NDArray[np.integer]:
        """See `Layer.run`."""
        (source,) = features
        output = np.empty((len(source), *self.output.shape), dtype=np.int8)
        for y, row in enumerate(self.rows):
            for x, column in enumerate(self.columns):
                window = source[:, row.start : row.stop, column.start : column.stop].astype(np.int64)
                if self.mean is None:
                    output[:, y, x] = window.max(axis=(1, 2))
                    continue
                sums = (window - self.inputs[0].zero).sum(axis=(1, 2))
                divisor = np.int64(row.size * column.size) << self.mean.shift
                numbers = divided(sums * self.mean.value, np.asarray(divisor))
                output[:, y, x] = clipped(numbers + self.output.zero)
        return output


@dataclass(frozen=True)
class Add(Layer):
    """Sum of two tensors; the second may have one pixel.

    Args:
        factors: Factor of each input; both have the same shift.
        low: See `Conv`.
        high: See `Conv`.
    """

    factors: tuple[Multiplier, Multiplier]
    low: int
    high: int

    in_place = True

    def run(self, *features: Bytes) -> npt.NDArray[np.integer]:
        """See `Layer.run`."""
        shift = self.factors[0].shift
        total: Integers = np.asarray(np.int64(1) << (shift - 1))
        for numbers, tensor, factor in zip(features, self.inputs, self.factors, strict=True):
            total = total + (numbers.astype(np.int64) - tensor.zero) * factor.value
        return clipped((total >> shift) + self.output.zero, self.low, self.high)


@dataclass(frozen=True)
class Mul(Layer):
    """Product of two tensors; the second may have one pixel, as in squeeze-and-excitation.

    Args:
        factor: Factor of the product.
        low: See `Conv`.
        high: See `Conv`.
    """

    factor: Multiplier
    low: int
    high: int

    in_place = True

    def run(self, *features: Bytes) -> npt.NDArray[np.integer]:
        """See `Layer.run`."""
        first, second = (
            numbers.astype(np.int64) - tensor.zero
            for numbers, tensor in zip(features, self.inputs, strict=True)
        )
        return clipped(requantised(first * second, *self.factor) + self.output.zero, self.low, self.high)


@dataclass(frozen=True)
class Table(Layer):
    """A function of single numbers, as a table of its 256 values; hard-swish, for example.

    Args:
        values: (256,) int8, or int16 for logits; the first is for the number -128.
    """

    values: npt.NDArray[np.integer]

    in_place = True

    @property
    def constants(self) -> int:
        """See `Layer.constants`."""
        return int(self.values.nbytes)

    def run(self, *features: Bytes) -> npt.NDArray[np.integer]:
        """See `Layer.run`."""
        return self.values[features[0].astype(np.int64) + 128]


@dataclass(frozen=True)
class Concat(Layer):
    """Concatenation of channels; a table for each input turns its numbers into those of the output.

    Args:
        tables: (256,) int8 for each input.
    """

    tables: tuple[Bytes, ...]

    @property
    def constants(self) -> int:
        """See `Layer.constants`."""
        return 256 * len(self.tables)

    def run(self, *features: Bytes) -> npt.NDArray[np.integer]:
        """See `Layer.run`."""
        parts = [
            table[each.astype(np.int64) + 128] for table, each in zip(self.tables, features, strict=True)
        ]
        return np.concatenate(parts, axis=-1)


@dataclass(frozen=True)
class Pad(Layer):
    """Padding with zeros.

    Args:
        pad: Rows above, and columns to the left.
    """

    pad: tuple[int, int]

    def run(self, *features: Bytes) -> npt.NDArray[np.integer]:
        """See `Layer.run`."""
        (source,) = features
        output = np.full((len(source), *self.output.shape), self.output.zero, dtype=np.int8)
        top, left = self.pad
        output[:, top : top + source.shape[1], left : left + source.shape[2]] = source
        return output
