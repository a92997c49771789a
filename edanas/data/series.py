"""Series from arrays of equal or unequal length: their checks, and one tensor with NaN at padding."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.errors import DataError
from edanas.core.series import check_finite, valid_lengths


class Rows(Protocol):
    """N arrays, one for each series."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> npt.NDArray[Any]: ...


Array = npt.NDArray[Any]
"""One series (C, L) or (L,)."""


def as_series(samples: Rows, layout: str = "NCL") -> tuple[torch.Tensor, tuple[str, ...]]:
    """Return series as one tensor of float32, and sentences on cropping and padding.

    NaN at the end of a series in all channels is padding, as in the archives of unequal series. The length of
    the result is that of the longest series without padding.

    Args:
        samples: Series (C, L_i), or (L_i,) with the layout `NL`, of numbers.
        layout: `NCL` or `NL`.

    Returns:
        A tensor (N, C, 1, L), NaN at padding, and the sentences.

    Raises:
        DataError: There are no series, values are not numbers, numbers of channels differ, a value before the
            padding is not finite, or a channel has the same value everywhere.

    Example:
        >>> series, remarks = as_series([np.array([[1.0, 2.0, 3.0]]), np.array([[4.0]])])
        >>> series[1], remarks
        (tensor([[[4., nan, nan]]]), ('Series have lengths from 1 to 3; shorter series are padded to 3, and \
padding is masked.',))
    """
    if not len(samples):
        raise DataError("series: found none; allowed: one or more")
    arrays = [_checked(np.asarray(sample), row, layout) for row, sample in enumerate(_each(samples))]
    channels = arrays[0].shape[0]
    for row, array in enumerate(arrays):
        if array.shape[0] != channels:
            raise DataError(
                f"series: found {array.shape[0]} channels in row {row}, and {channels} in row 0; allowed: "
                "equal numbers of channels"
            )
    longest = max(array.shape[1] for array in arrays)
    values = np.full((len(arrays), channels, 1, longest), np.nan, dtype=np.float32)
    with np.errstate(over="ignore"):  # values beyond float32 are infinite, which is an error
        for row, array in enumerate(arrays):
            values[row, :, 0, : array.shape[1]] = array
    series = torch.from_numpy(values)
    lengths = valid_lengths(series)
    check_finite(series, lengths)
    series = series[..., : int(lengths.max())].contiguous()
    _check_channels(series)
    return series, _sentences(lengths)


def _each(samples: Rows) -> list[Array]:
    return [samples[row] for row in range(len(samples))]


def _checked(array: Array, row: int, layout: str) -> Array:
    if array.dtype.kind not in "fiu":
        raise DataError(f"series: found values of type {array.dtype} in row {row}; allowed: numbers")
    shaped = array[None] if layout == "NL" and array.ndim == 1 else array
    if shaped.ndim != 2 or 0 in shaped.shape:
        raise DataError(
            f"series: found shape {tuple(array.shape)} in row {row}; allowed: "
            f"{'(L,)' if layout == 'NL' else '(C, L)'}, for C channels and length L, each 1 or more"
        )
    return shaped


def _check_channels(series: torch.Tensor) -> None:
    """Check that no channel has the same value in all series.

    Raises:
        DataError: A channel has.
    """
    for number, channel in enumerate(series.unbind(1)):
        values = channel[~channel.isnan()]
        if bool((values == values[0]).all()):
            raise DataError(
                f"series: channel {number} (from 0) is {float(values[0]) + 0.0:g} everywhere; allowed: "
                "channels whose values vary; leave the channel out"
            )


def _sentences(lengths: torch.Tensor) -> tuple[str, ...]:
    low, high = int(lengths.min()), int(lengths.max())
    if low == high:
        return ()
    text = f"Series have lengths from {low:,} to {high:,}; shorter series are padded to {high:,}, and "
    return (f"{text}padding is masked.",)
