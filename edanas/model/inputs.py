"""Images to classify: one or many, as tensors, arrays or an iterable of them, cut into batches."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.errors import DataError
from edanas.core.preprocess import scale

_ROUNDING = 1e-3
"""Tolerance for floats outside [0, 1], because some decoders and resizers overshoot."""


def as_batch(images: object, channels: int) -> torch.Tensor:
    """Return `images` as a checked batch.

    Args:
        images: A tensor (B, C, H, W) or (C, H, W), uint8 or floats in [0, 1]. The range of floats is checked
            in the host's memory only, because reading them back from an accelerator would stall it.
        channels: C.

    Raises:
        DataError: Another shape, number of channels, or type of values.

    Example:
        >>> as_batch(torch.zeros(3, 8, 8), channels=3).shape
        torch.Size([1, 3, 8, 8])
    """
    if not isinstance(images, torch.Tensor):
        raise DataError(f"images: found a {type(images).__name__}; allowed: a torch tensor")
    batch = images.unsqueeze(0) if images.dim() == 3 else images
    if batch.dim() != 4 or batch.shape[1] != channels or 0 in batch.shape[1:]:
        allowed = f"allowed: (B, {channels}, H, W) or ({channels}, H, W)"
        raise DataError(f"images: found shape {tuple(images.shape)}; {allowed}")
    if batch.dtype == torch.uint8:
        return batch
    if not batch.is_floating_point():
        raise DataError(f"images: found values of type {batch.dtype}; allowed: uint8, or floats in [0, 1]")
    if batch.device.type == "cpu" and batch.numel():
        low, high = (float(end) for end in batch.aminmax())
        if not (low >= -_ROUNDING and high <= 1.0 + _ROUNDING):
            raise DataError(f"images: found floats from {low:g} to {high:g}; allowed: 0 to 1, or uint8")
    return batch


def from_array(array: npt.NDArray[Any], channels: int) -> torch.Tensor:
    """Return a NumPy array as a tensor, channels first.

    Args:
        array: (B, C, H, W), (C, H, W), or, as image files are read, (B, H, W, C) or (H, W, C). Where both
            fit, channels are first. Grey images may leave out the channel: (H, W).
        channels: C.

    Raises:
        DataError: Another shape or type of values.

    Example:
        >>> from_array(np.zeros((8, 8, 3), dtype=np.uint8), channels=3).shape
        torch.Size([3, 8, 8])
    """
    if array.dtype != np.uint8 and array.dtype not in (np.float16, np.float32, np.float64):
        raise DataError(f"images: found values of type {array.dtype}; allowed: uint8, or floats in [0, 1]")
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if tensor.dim() == 2 and channels == 1:
        return tensor.unsqueeze(0)
    if tensor.dim() not in (3, 4) or channels not in (tensor.shape[-3], tensor.shape[-1]):
        forms = f"({channels}, H, W), (H, W, {channels}), or B of them"
        raise DataError(f"images: found shape {tuple(array.shape)}; allowed: {forms}")
    return tensor if tensor.shape[-3] == channels else tensor.movedim(-1, -3)


def batches(images: object, channels: int, resolution: int, size: int) -> Iterator[torch.Tensor]:
    """Yield `images` in batches of at most `size`, in order; an iterable is read at most one batch ahead.

    Args:
        images: As for `EENN.predict`.
        channels: C.
        resolution: Side to which images are resized if those of one batch differ in size or type.
        size: At least 1.

    Returns:
        (B, C, H, W) uint8 or floats in [0, 1], 1 <= B <= `size`.

    Raises:
        DataError: An item is not an image; of several, the message has its number, from 1.
    """
    if isinstance(images, torch.Tensor | np.ndarray):
        yield from (part for part in torch.split(_checked_batch(images, channels), size) if len(part))
        return
    if not isinstance(images, Iterable) or isinstance(images, str | bytes):
        raise DataError(
            f"images: found a {type(images).__name__}; allowed: a tensor, a NumPy array, or an iterable of "
            "these (files are read by `edanas.stream`)"
        )
    waiting: list[torch.Tensor] = []
    for number, each in enumerate(images, start=1):
        try:
            waiting += torch.split(_checked_batch(each, channels), 1)
        except DataError as error:
            raise DataError(f"image {number} of the iterable: {error}") from error
        while len(waiting) >= size:
            yield _stack_samples(waiting[:size], resolution)
            waiting = waiting[size:]
    if waiting:
        yield _stack_samples(waiting, resolution)


def _checked_batch(images: object, channels: int) -> torch.Tensor:
    if isinstance(images, np.ndarray):
        return as_batch(from_array(images, channels), channels)
    return as_batch(images, channels)


def _stack_samples(samples: list[torch.Tensor], resolution: int) -> torch.Tensor:
    """Stack samples (1, C, H, W); each is resized by itself if their shapes or types differ."""
    first = samples[0]
    if all(each.shape == first.shape and each.dtype == first.dtype for each in samples):
        return torch.cat(samples)
    return torch.cat([scale(each.to(first.device), resolution) for each in samples])
