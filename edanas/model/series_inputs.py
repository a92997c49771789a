"""Checks of series to classify, and their form as a batch: one length, NaN at padding."""

from typing import Any

import numpy as np
import torch

from edanas.core.errors import DataError, type_of
from edanas.core.series import at_length, check_finite, valid_lengths
from edanas.data.plain_arrays import as_array


def series_batch(
    series: Any, channels: int, length: int | None, *, padded: bool, whole: bool = False
) -> torch.Tensor:
    """Return series as a batch (B, C, 1, `length`) of float32, NaN at padding.

    NaN at the end of a series in all channels is padding, however long, and is cut off first. Then series
    that are longer than the network's length are cropped at their end, and shorter series are padded.

    Args:
        series: A tensor or array (B, C, L), (C, L), (B, C, 1, L) or (C, 1, L); with one channel also (B, L)
            or (L,). Channels may be last, (B, L, C) or (L, C), where the first reading does not fit. A list
            or object array holds B series (C, L_i) or, with one channel, (L_i,).
        channels: Number C of channels.
        length: Length of the series of the network's run; `None` = unknown: series keep their
            length.
        padded: True if the network takes padding; otherwise shorter series are an error.
        whole: True to keep the end of longer series, so that their length is the largest one of the batch.

    Raises:
        DataError: The shape or type is wrong, a value is not finite, or a series is too short or empty.

    Example:
        >>> series_batch(np.ones((2, 3, 5)), channels=3, length=6, padded=True)[0, 0, 0]
        tensor([1., 1., 1., 1., 1., nan])
    """
    batch = _batch(series, channels)
    lengths = valid_lengths(batch)
    check_finite(batch, lengths)
    if length is None:
        return batch
    if len(batch) and not padded and int(lengths.min()) < length:
        row = int(lengths.argmin())
        raise DataError(
            f"series: found length {int(lengths[row])} in row {row}; allowed: {length} or more, since the "
            "network was trained on series of one length"
        )
    longest = int(lengths.max()) if len(batch) else length
    return at_length(batch, max(length, longest) if whole else length)


def _batch(series: Any, channels: int) -> torch.Tensor:
    """Return series of any allowed form as (B, C, 1, L), NaN at padding."""
    is_list = isinstance(series, list | tuple) and all(getattr(each, "ndim", 0) for each in series)
    if not is_list and getattr(series, "dtype", None) != np.dtype(object):
        return _shaped(_as_tensor(series), channels)
    rows = [_shaped(_as_tensor(each), channels) for each in series]
    if not rows:
        raise DataError("series: found none; allowed: one or more")
    longest = max(each.shape[3] for each in rows)
    return torch.cat([at_length(each, longest) for each in rows])


def _as_tensor(series: object) -> torch.Tensor:
    if series is None or isinstance(series, str | bytes):
        raise DataError(f"series: found {type_of(series)}; allowed: a torch tensor or a NumPy array")
    if not isinstance(series, torch.Tensor) or series.layout != torch.strided:
        series = as_array(series)
        if series.dtype.kind not in "fiu":
            raise DataError(f"series: found values of type {series.dtype}; allowed: numbers")
        series = torch.from_numpy(np.array(series, dtype=np.float32))
    if series.is_complex() or series.dtype == torch.bool:
        raise DataError(f"series: found values of type {series.dtype}; allowed: numbers")
    return series.float()


def _shaped(series: torch.Tensor, channels: int) -> torch.Tensor:
    """Return series of any allowed shape as (B, C, 1, L)."""
    shape: tuple[Any, ...] = tuple(series.shape)
    if series.ndim == 1 and channels == 1:
        series = series[None, None]
    elif series.ndim == 2:
        series = series[:, None] if channels == 1 else series[None]
    elif series.ndim == 3 and shape[1] == 1 and shape[0] == channels != 1:
        series = series[:, 0][None]
    elif series.ndim == 4 and shape[2] == 1:
        series = series[:, :, 0]
    if series.ndim == 3 and series.shape[1] != channels == series.shape[2]:
        series = series.transpose(1, 2)
    if series.ndim != 3 or series.shape[1] != channels or not series.shape[2]:
        raise DataError(
            f"series: found shape {shape}; allowed: (B, {channels}, L) or ({channels}, L), for {channels} "
            f"channel{'s' if channels > 1 else ''} of length L"
        )
    return series[:, :, None]
