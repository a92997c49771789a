"""Conversion of numbers of any range to bytes, where the range of pixels is clear or named."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edanas.core.errors import ConfigError, DataError
from edanas.data.sample_set import Samples

_FEWEST = 16
"""Byte below which the brightest pixel leaves its range in doubt, as in files; see `pixel_depth`."""


class PixelRange(NamedTuple):
    """Values of black and white pixels.

    Example:
        >>> PixelRange(0.0, 1.0).bytes(np.array([0.0, 1.0])).tolist()
        [0, 255]
    """

    black: float
    white: float

    def bytes(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Return values as bytes: black is 0, white is 255, and the values between are rounded."""
        if values.dtype == np.uint8 and self == PixelRange(0, 255):
            return values.view(np.uint8)
        scaled = (values.astype(np.float64) - self.black) * (255.0 / (self.white - self.black))
        return np.rint(scaled).astype(np.uint8)


def pixel_range(samples: Samples, named: Sequence[float] = (), layout: str = "") -> PixelRange:
    """Return the values of black and white pixels, as far as it is safe to conclude them.

    Bytes are 0 to 255. Numbers from 0 to 1, and numbers from 0 to between 128 and 255, have these ranges;
    unsigned numbers of 16 bits have their full range. In each, the brightest pixel must be above 16 of 255.

    Args:
        samples: The samples.
        named: The option `range`: black and white; empty if it is to be concluded.
        layout: Order of the axes, for messages; see `not_finite`.

    Raises:
        ConfigError: The option is not two rising numbers, or pixels are outside it.
        DataError: Pixels are not finite numbers, or their range is unclear; the message names the option.

    Example:
        >>> from edanas.data.sample_set import EqualSamples
        >>> pixel_range(EqualSamples(np.array([[[0.5, 1.0]]])))
        PixelRange(black=0.0, white=1.0)
    """
    low, high = _ends(samples, layout)
    if named:
        return _checked(named, low, high)
    dtype = samples.dtype
    if dtype == np.uint8:
        return PixelRange(0, 255)
    if dtype == np.bool_:
        return PixelRange(0, 1)
    whites = [1.0, 255.0] if dtype != np.uint16 else [1.0, 65535.0]
    for white in whites:
        smallest = 128.0 if white == 255.0 else white * _FEWEST / 255
        if low >= 0 and smallest <= high <= white:
            return PixelRange(0.0, white)
    raise DataError(
        f"samples: found pixels from {low:g} to {high:g} ({dtype}), whose range is unclear; allowed: bytes, "
        f"0 to 1, 0 to 255, or the values of black and white by name: --set data.range=[{low:g},{high:g}]"
    )


def _checked(named: Sequence[float], low: float, high: float) -> PixelRange:
    if len(named) != 2 or not named[0] < named[1]:
        raise ConfigError(f"data.range: found {list(named)}; allowed: two numbers, black before white")
    if low < named[0] or high > named[1]:
        raise ConfigError(f"data.range: found {list(named)}, but pixels are from {low:g} to {high:g}")
    return PixelRange(*map(float, named))


def _ends(samples: Samples, layout: str) -> tuple[float, float]:
    lows, highs = [], []
    for piece in samples.pieces():
        lows.append(float(piece.min()))
        highs.append(float(piece.max()))
    low, high = float(np.min(lows)), float(np.max(highs))
    if not np.isfinite([low, high]).all():
        raise not_finite(samples, layout)
    return low, high


def not_finite(samples: Samples, layout: str = "") -> DataError:
    """Return the error for the first number that is not finite, with its place.

    Args:
        samples: Samples, one of which holds such a number.
        layout: Order of the axes, e.g. `NHWC`; by default channels are the first of two or three axes.

    Example:
        >>> from edanas.data.sample_set import EqualSamples
        >>> values = np.zeros((4, 3, 8))
        >>> values[2, 1, 5] = np.nan
        >>> print(not_finite(EqualSamples(values)))
        samples: found nan in row 2, channel 1, position 5; allowed: finite numbers
    """
    for row in range(len(samples)):
        wrong = np.argwhere(~np.isfinite(samples[row]))
        if len(wrong):
            place = tuple(int(each) for each in wrong[0])
            axes = layout[1:] or {2: "CL", 3: "CHW"}.get(len(place), "")
            by_axis = list(zip(axes.ljust(len(place), "L"), place, strict=True))
            channels = [f"channel {at}" for axis, at in by_axis if axis == "C"]
            position = f"position {', '.join(str(at) for axis, at in by_axis if axis != 'C')}"
            where = ", ".join([f"row {row}", *channels, position])
            return DataError(f"samples: found {samples[row][place]} in {where}; allowed: finite numbers")
    return DataError("samples: found no number that is not finite")
