"""Order of the axes of samples: images with channels first or last, grey images, or series."""

import numpy as np

from edanas.core.errors import ConfigError, DataError, near_miss
from edanas.data.sample_set import Samples

LAYOUTS = ("auto", "NCHW", "NHWC", "NHW", "NCL", "NLC", "NL")
"""Allowed values of the option `layout`: N samples, C channels, height H and width W, or length L."""

IMAGES, SERIES = ("NCHW", "NHWC", "NHW"), ("NCL", "NLC", "NL")

_COLOURS = (1, 3, 4)
"""Numbers of channels of an image: grey, red, green and blue, and these with transparency."""


def layout_of(samples: Samples, layout: str = "auto") -> str:
    """Return the order of the axes of samples, as far as it is safe to conclude it from shape and type.

    Arrays of rank 2 are series (N, L). Arrays of rank 3 are grey images (N, H, W) if their values are
    unsigned bytes or booleans; otherwise they are series (N, C, L) with more values than channels. For series
    of unequal length, the axis that varies is L. Arrays of rank 4 are images, whose axis of 1, 3 or 4 is the
    axis of channels.

    Args:
        samples: The samples.
        layout: The option `layout`.

    Raises:
        ConfigError: The option is unknown or does not fit the samples.
        DataError: The shape has no layout, or two; the message names the option.

    Example:
        >>> import numpy as np
        >>> from edanas.data.sample_set import EqualSamples
        >>> [layout_of(EqualSamples(np.zeros(shape))) for shape in ((5, 3, 8, 8), (5, 8, 8, 3), (5, 3, 206))]
        ['NCHW', 'NHWC', 'NCL']
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"data.layout: found '{layout}'.{near_miss(layout, LAYOUTS)}")
    shapes = _shapes(samples)
    rank = len(shapes[0])
    if layout != "auto":
        if len(layout) != rank + 1:
            raise ConfigError(
                f"data.layout: found '{layout}' for arrays {_text(shapes[0])}; "
                f"allowed: a layout of {rank + 1} axes"
            )
        return layout
    if rank == 1:
        return "NL"
    if rank == 2:
        return _of_rank_two(samples, shapes)
    if rank == 3:
        return _of_rank_three(shapes)
    raise DataError(
        f"samples: found shape {_text(shapes[0])}; allowed: images (N, C, H, W), (N, H, W, C) or (N, H, W), "
        "and series (N, C, L), (N, L, C) or (N, L)"
    )


def _of_rank_two(samples: Samples, shapes: list[tuple[int, ...]]) -> str:
    if samples.dtype in (np.uint8, np.bool_):
        return "NHW"
    first, last = ({shape[axis] for shape in shapes} for axis in (0, 1))
    if len(first) != len(last) and 1 in (len(first), len(last)):
        channels, lengths = (first, last) if len(first) == 1 else (last, first)
        if max(lengths) < max(channels):  # samples of one length and of several numbers of channels, perhaps
            raise _unclear(shapes[0], ("NCL", "NLC"))
        return "NCL" if len(first) == 1 else "NLC"
    if all(height == width for height, width in shapes):
        raise _unclear(shapes[0], ("NHW", "NCL", "NLC"))
    if all(channels > length for channels, length in shapes):
        raise _unclear(shapes[0], ("NCL", "NLC"))
    return "NCL"


def _of_rank_three(shapes: list[tuple[int, ...]]) -> str:
    first = all(shape[0] in _COLOURS for shape in shapes)
    last = all(shape[2] in _COLOURS for shape in shapes)
    if first and last:
        raise _unclear(shapes[0], ("NCHW", "NHWC"))
    if first or last:
        return "NCHW" if first else "NHWC"
    wrong = next(shape for shape in shapes if shape[0] not in _COLOURS and shape[2] not in _COLOURS)
    raise DataError(
        f"samples: found shape {_text(wrong)}; allowed for images: 1, 3 or 4 channels, first or last"
    )


def _unclear(shape: tuple[int, ...], layouts: tuple[str, ...]) -> DataError:
    choices = " or ".join(f"data.layout={each}" for each in layouts)
    number = "two" if len(layouts) == 2 else "three"
    return DataError(f"samples: the axes of shape {_text(shape)} have {number} readings; add --set {choices}")


def _shapes(samples: Samples) -> list[tuple[int, ...]]:
    """Return the distinct shapes of samples."""
    if samples.shape is not None:
        return [samples.shape]
    return sorted({samples[number].shape for number in range(len(samples))})


def _text(shape: tuple[int, ...]) -> str:
    return f"(N, {', '.join(map(str, shape))})"
