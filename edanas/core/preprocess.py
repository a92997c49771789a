"""Preparation of images and series: one rule for training, evaluation and deployment.

The page `docs/reference/pixels.md` states the rule for a repetition in another program.

A series of length L with C channels is a float tensor (C, 1, L), an image of height 1 whose values have any
range. NaN at the end of a series is padding.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from edanas.core.types import DataParts

if TYPE_CHECKING:
    from PIL import Image

PREPROCESSING = "preprocessing"
"""Key of a network's description that states the size of its images and the steps of its preprocessing."""


Size = int | tuple[int, int]
"""Size of a network's input: height and width, or one number, the side of images or the length of series."""


def prepare(
    images: torch.Tensor,
    resolution: Size,
    mean: Sequence[float] | torch.Tensor,
    std: Sequence[float] | torch.Tensor,
) -> torch.Tensor:
    """Scale images to [0, 1], resize and normalise them; series are resampled and normalised.

    Args:
        images: (B, C, H, W) uint8, or floats already in [0, 1]; or series (B, C, 1, L), floats of any range.
        resolution: Height and width of the result in pixels, or the length of resampled series.
        mean: Mean of each channel for pixels in [0, 1]: C numbers, or a float32 tensor (1, C, 1, 1) on the
            device of the images.
        std: Standard deviation of each channel, in the same types as `mean`.

    Returns:
        (B, C, resolution, resolution) float32, channels-last in memory; series are (B, C, 1, resolution).

    Example:
        >>> prepare(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8), 1, mean=[0.5], std=[0.25])
        tensor([[[[2.]]]])
    """
    pixels = scale(images, resolution)
    pixels = (pixels - by_channel(mean, pixels.device)).div_(by_channel(std, pixels.device))
    return pixels.contiguous(memory_format=torch.channels_last)


def scale(images: torch.Tensor, resolution: Size) -> torch.Tensor:
    """Resize (B, C, H, W) uint8 or floats in [0, 1] to (B, C, resolution, resolution) float32 in [0, 1].

    Series (B, C, 1, L) are resampled to (B, C, 1, resolution), and keep their range.
    """
    stored = images.dtype == torch.uint8
    height, width = images.shape[-2:]
    after = resolution if isinstance(resolution, tuple) else size_for(images, resolution)
    if (height, width) == after:
        return images.float().div_(255.0) if stored else images.float()
    if after[0] == height == 1 and not stored:
        return resampled(images, after[1])
    # Resizing in double precision rounds once, so that every program and device gets the same pixels. The
    # range of bytes keeps the sums of equal bytes and floats equal.
    pixels = (images if stored else images.float().mul(255.0)).double()
    rows = _weights_on(height, after[0], images.device)
    columns = _weights_on(width, after[1], images.device)
    return (rows @ pixels @ columns.T).float().div_(255.0)


def size_for(images: torch.Tensor, resolution: int) -> tuple[int, int]:
    """Return the size at a resolution: (1, resolution) for series, which are floats of height 1.

    Example:
        >>> size_for(torch.zeros(4, 3, 1, 50), 25), size_for(torch.zeros(4, 3, 32, 32), 24)
        ((1, 25), (24, 24))
    """
    is_series = images.is_floating_point() and images.shape[-2] == 1
    return (1 if is_series else resolution), resolution


def resampled(
    series: torch.Tensor, length: int, *, padded: bool | None = None, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """Return series (B, C, 1, L) at another length, resampled linearly with antialiasing, as float32.

    NaN at the end of a series stays NaN in proportion, and no other value depends on it.

    Args:
        series: The series.
        length: The new length.
        padded: True if the series may have NaN at their end; `None`, the default, looks.
        dtype: Type of the computation.

    Example:
        >>> resampled(torch.tensor([[[[0.0, 2.0, 4.0, torch.nan]]]]), 2)
        tensor([[[[1.4286, 3.5000]]]])
    """

    def interpolated(values: torch.Tensor) -> torch.Tensor:
        return F.interpolate(values, size=(1, length), mode="bilinear", align_corners=False, antialias=True)

    absent = series.isnan()
    if padded is False or (padded is None and not absent.any()):
        return interpolated(series.to(dtype)).float()
    share = interpolated((~absent).to(dtype))
    values = interpolated(torch.where(absent, torch.zeros_like(series), series).to(dtype))
    # The first value is never padding, however short the series is.
    is_first = torch.arange(length, device=series.device) == 0
    padding = torch.full_like(values, torch.nan)
    is_valid = torch.where(is_first, torch.ones_like(share), share) >= 0.5
    return torch.where(is_valid, values / share.clamp(min=1e-6), padding).float()


def resampling_weights(before: int, after: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the weights (after, before) of bilinear resampling of a row of pixels, with antialiasing.

    A new pixel is the mean of the old pixels under a triangle around its centre. The triangle reaches as far
    as one pixel of the coarser row on both sides.

    Args:
        before: Number of old pixels.
        after: Number of new pixels.

    Example:
        >>> resampling_weights(2, 1)
        array([[0.5, 0.5]])
    """
    centres = (np.arange(after)[:, None] + 0.5) * before / after
    distances = abs(np.arange(before) + 0.5 - centres) / max(before / after, 1.0)
    weights = np.maximum(1.0 - distances, 0.0)
    normalised: np.ndarray[tuple[int, int], np.dtype[np.float64]] = weights / weights.sum(1, keepdims=True)
    return normalised


@lru_cache(maxsize=64)
def _weights_on(before: int, after: int, device: torch.device) -> torch.Tensor:
    with torch.inference_mode(mode=False):  # a tensor of inference mode could never be differentiated through
        return torch.from_numpy(resampling_weights(before, after)).to(device)


def stated_preprocessing(parts: DataParts, resolution: int) -> dict[str, Any]:
    """Return the statement of the preprocessing of a network for the data of a run; see the fields below.

    Args:
        parts: The data of the run.
        resolution: Side or length of the network's input.
    """
    images = parts.train.images
    height, width = images.shape[2:]
    if parts.series:
        fields = series_fields(width, resolution, padded=parts.padded)
    else:
        fields = preprocessing_fields((width, height), images.shape[1], resolution)
    return {**fields, "front_end": dict(parts.front_end)} if parts.front_end else fields


def series_fields(length: int, resolution: int, *, padded: bool) -> dict[str, Any]:
    """Return the statement of a network's preprocessing of series for its JSON description.

    Args:
        length: Length of the series on which the network was judged.
        resolution: Length of the network's input.
        padded: True if series may be shorter.

    Example:
        >>> series_fields(206, 103, padded=False)["image_size"]
        [206, 1]
    """
    steps = [
        f"Crop the series at its end to {length} values"
        + (f", or pad it with NaN to {length} values." if padded else "."),
        f"Resample to {resolution} values, linearly and antialiased, in double precision.",
        "Subtract mean, divide by std.",
    ]
    if length == resolution:
        del steps[1]
    return {"image_size": [length, 1], "series": True, "padded": padded, "steps": steps}


def preprocessing_fields(image_size: tuple[int, int], channels: int, resolution: int) -> dict[str, Any]:
    """Return the statement of a network's preprocessing for its JSON description.

    Args:
        image_size: Width and height in pixels of the images on which the network was judged.
        channels: Number of channels, 1 or 3.
        resolution: Height and width of the network's input in pixels.

    Returns:
        `image_size`, from which the network resizes images, and `steps`, which are sentences for readers.

    Example:
        >>> preprocessing_fields((32, 32), 3, 24)["image_size"]
        [32, 32]
    """
    (width, height), side = image_size, 2 * max(image_size)
    colours = "grey" if channels == 1 else "RGB"
    steps = [
        f"Decode the file: a JPEG at the smallest of the scales 1/8, 1/4, 1/2 and 1 that leaves at least "
        f"{side}x{side} pixels, rounded down (draft of Pillow), any other file whole.",
        f"Set it upright by its EXIF orientation, and put it on white as 8-bit {colours}.",
        f"Resize to {width}x{height} with Pillow's BILINEAR, which rounds to 8 bits.",
        f"Resize to {resolution}x{resolution}, bilinear and antialiased, in double precision.",
        "Divide by 255, subtract mean, divide by std.",
    ]
    if (width, height) == (resolution, resolution):
        del steps[3]
    return {"image_size": [width, height], "steps": steps}


def resize(image: "Image.Image", size: tuple[int, int]) -> "Image.Image":
    """Return an 8-bit image resized to (width, height) pixels; an image of that size is returned as it is.

    Pillow resizes bilinearly, with antialiasing, and rounds to 8 bits. All 8-bit images of the package are
    resized here, so that a file gives the same pixels in a run and in a prediction.
    """
    from PIL import Image

    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def resize_all(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return images (N, C, H, W) uint8 resized to `size`, (width, height) in pixels; see `resize`.

    Example:
        >>> resize_all(torch.zeros(2, 3, 8, 6, dtype=torch.uint8), (4, 5)).shape
        torch.Size([2, 3, 5, 4])
    """
    from PIL import Image

    width, height = size
    if images.shape[-2:] == (height, width):
        return images
    planes = images.cpu().contiguous().flatten(0, 1).numpy()
    resized = np.empty((len(planes), height, width), dtype=np.uint8)
    for number, plane in enumerate(planes):
        resized[number] = np.asarray(resize(Image.fromarray(plane), size))
    return torch.from_numpy(resized).view(*images.shape[:2], height, width).to(images.device)


def by_channel(values: Sequence[float] | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return C numbers as a float32 tensor (1, C, 1, 1) that broadcasts over images; keep tensors as is."""
    if isinstance(values, torch.Tensor):
        return values
    return torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1)
