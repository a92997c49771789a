"""Checks of images to classify, and batches from tensors, arrays or iterables of images."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts import ExitNetwork
from edanas.core.errors import DataError, type_of
from edanas.core.preprocess import resize_all, scale
from edanas.core.series import at_length
from edanas.data.plain_arrays import as_array
from edanas.model.series_inputs import series_batch

_ROUNDING = 1e-3
"""Largest distance of a float from [0, 1] that is accepted, because resizing can overshoot slightly."""


class InputForm(NamedTuple):
    """Properties of the images that a network takes.

    Args:
        channels: Number C of channels.
        resolution: Height and width in pixels of the network's input.
        image_size: Width and height in pixels to which 8-bit images are resized; `None` = they are not.
        series: True if the network takes series; `resolution` is their length then.
        padded: True if series may be shorter than those of the network's run.
    """

    channels: int
    resolution: int
    image_size: tuple[int, int] | None = None
    series: bool = False
    padded: bool = False

    @classmethod
    def of(cls, network: ExitNetwork) -> "InputForm":
        """Return the properties of a network's images."""
        size = network.image_size
        return cls(len(network.mean), network.resolution, size, network.series, network.padded)

    def batch(self, images: object, *, whole: bool = False) -> torch.Tensor:
        """Return images as a checked batch; see `as_batch`. 8-bit images have the size `image_size`.

        Series have the length of the series of the network's run, unless `whole` keeps the end of longer
        ones; see `series_batch`. A network without
        `image_size`, such as a candidate of a search, resamples whole series.
        """
        if self.series:
            length = self.image_size[0] if self.image_size else None
            return series_batch(images, self.channels, length, padded=self.padded, whole=whole)
        if isinstance(images, np.ndarray):
            images = from_array(images, self.channels)
        batch = as_batch(images, self.channels)
        is_stored = batch.dtype == torch.uint8
        return resize_all(batch, self.image_size) if is_stored and self.image_size else batch


def as_batch(images: object, channels: int) -> torch.Tensor:
    """Return images as a batch (B, C, H, W), after checking their shape and values.

    Args:
        images: A tensor (B, C, H, W) or (C, H, W), uint8 or floats in [0, 1]. The range of floats is checked
            only for images in the CPU's memory, because the check would stall an accelerator.
        channels: Number C of channels.

    Raises:
        DataError: `images` is not a tensor, or has another shape, number of channels, type or range of
            values.

    Example:
        >>> as_batch(torch.zeros(3, 8, 8), channels=3).shape
        torch.Size([1, 3, 8, 8])
    """
    if not isinstance(images, torch.Tensor):
        raise DataError(f"images: found {type_of(images)}; allowed: a torch tensor")
    batch = images.unsqueeze(0) if images.dim() == 3 else images
    if batch.dim() != 4 or batch.shape[1] != channels or 0 in batch.shape[1:]:
        allowed = f"allowed: (B, {channels}, H, W) or ({channels}, H, W)"
        raise DataError(f"images: found shape {tuple(images.shape)}; {allowed}")
    if batch.dtype == torch.uint8:
        return batch
    if not batch.is_floating_point():
        raise DataError(f"images: found values of type {batch.dtype}; allowed: uint8, or floats in [0, 1]")
    if batch.device.type == "cpu" and batch.numel():
        low, high = (float(end) for end in batch.detach().aminmax())
        if not (low >= -_ROUNDING and high <= 1.0 + _ROUNDING):
            raise DataError(f"images: found floats from {low:g} to {high:g}; allowed: 0 to 1, or uint8")
    return batch


def from_array(array: npt.NDArray[Any], channels: int) -> torch.Tensor:
    """Return a NumPy array as a tensor, channels first.

    Args:
        array: Images with channels first, (B, C, H, W) or (C, H, W), or with channels last, (B, H, W, C) or
            (H, W, C). If both readings fit, channels are first. A grey image may also be (H, W).
        channels: Number C of channels.

    Returns:
        A tensor (B, C, H, W) or (C, H, W).

    Raises:
        DataError: The array has another shape or type of values.

    Example:
        >>> from_array(np.zeros((8, 8, 3), dtype=np.uint8), channels=3).shape
        torch.Size([3, 8, 8])
    """
    array = as_array(array)
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise DataError(f"images: found values of type {array.dtype}; allowed: uint8, or floats in [0, 1]")
    # torch takes neither longer floats nor another order of bytes.
    dtype = f"f{min(array.itemsize, 8)}" if array.dtype.kind == "f" else np.uint8
    tensor = torch.from_numpy(np.require(array, dtype, ["C", "W"]))
    if tensor.dim() == 2 and channels == 1:
        return tensor.unsqueeze(0)
    if tensor.dim() not in (3, 4) or channels not in (tensor.shape[-3], tensor.shape[-1]):
        raise DataError(
            f"images: found shape {tuple(array.shape)}; allowed: ({channels}, H, W), (H, W, {channels}), or "
            "either after a number of images"
        )
    return tensor if tensor.shape[-3] == channels else tensor.movedim(-1, -3)


def batches(images: object, form: InputForm, size: int) -> Iterator[torch.Tensor]:
    """Yield images in batches, in order; at most one batch of an iterable is read ahead.

    Series that are longer than those of the network's run keep their length.

    Args:
        images: A tensor, a NumPy array or an iterable of tensors and arrays; see `EENN.predict`.
        form: Properties of the network's images. If the images of one batch differ in size or type, they are
            resized to its resolution.
        size: Largest number of images of a batch, 1 or more.

    Yields:
        A batch (B, C, H, W) of uint8 or floats in [0, 1], with B from 1 to `size`.

    Raises:
        DataError: `images` or one of its items is not an image or a batch of images. The message has the
            item's number, from 1.
    """
    if hasattr(images, "to_numpy") or hasattr(images, "toarray"):  # tables and sparse matrices
        images = as_array(images)
    if isinstance(images, torch.Tensor | np.ndarray):
        yield from (part for part in torch.split(form.batch(images, whole=True), size) if len(part))
        return
    if not isinstance(images, Iterable) or isinstance(images, str | bytes):
        kind = "series" if form.series else "images"
        raise DataError(
            f"{kind}: found {type_of(images)}; allowed: a tensor, a NumPy array, or an iterable of these "
            "(files are read by `edanas.stream`)"
        )
    waiting: list[torch.Tensor] = []
    for number, each in enumerate(images, start=1):
        try:
            waiting += torch.split(form.batch(each, whole=True), 1)
        except DataError as error:
            raise DataError(f"item {number} of the iterable: {error}") from error
        while len(waiting) >= size:
            yield _stack_samples(waiting[:size], form)
            waiting = waiting[size:]
    if waiting:
        yield _stack_samples(waiting, form)


def _stack_samples(samples: list[torch.Tensor], form: InputForm) -> torch.Tensor:
    """Return samples (1, C, H, W) as one batch; if their shapes or types differ, every sample is resized.

    Series (1, C, 1, L) are padded instead, if the length of the run's series is known.

    Args:
        samples: One sample or more.
        form: Properties of the network's images.
    """
    if form.series and form.image_size:
        longest = max(each.shape[3] for each in samples)
        return torch.cat([at_length(each, longest) for each in samples])
    first = samples[0]
    if all(each.shape == first.shape and each.dtype == first.dtype for each in samples):
        return torch.cat(samples)
    return torch.cat([scale(each.to(first.device), form.resolution) for each in samples])
