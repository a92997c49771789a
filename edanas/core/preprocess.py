"""Preparation of images: one rule for training, evaluation and deployment."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F


def prepare(
    images: torch.Tensor,
    resolution: int,
    mean: Sequence[float] | torch.Tensor,
    std: Sequence[float] | torch.Tensor,
) -> torch.Tensor:
    """Scale images to [0, 1], resize and normalise them.

    Args:
        images: (B, C, H, W) uint8, or floats already in [0, 1].
        resolution: Height and width of the result in pixels.
        mean: Mean of each channel for pixels in [0, 1]: C numbers, or a float32 tensor (1, C, 1, 1) on the
            device of the images.
        std: Standard deviation of each channel, in the same types as `mean`.

    Returns:
        (B, C, resolution, resolution) float32, channels-last in memory.

    Example:
        >>> prepare(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8), 1, mean=[0.5], std=[0.25])
        tensor([[[[2.]]]])
    """
    pixels = scale(images, resolution)
    pixels = (pixels - by_channel(mean, pixels.device)).div_(by_channel(std, pixels.device))
    return pixels.contiguous(memory_format=torch.channels_last)


def scale(images: torch.Tensor, resolution: int) -> torch.Tensor:
    """Resize (B, C, H, W) uint8 or floats in [0, 1] to (B, C, resolution, resolution) float32 in [0, 1]."""
    pixels = images.float().div_(255.0) if images.dtype == torch.uint8 else images.float()
    if pixels.shape[-2:] == (resolution, resolution):
        return pixels
    shrinks = max(pixels.shape[-2:]) > resolution
    return F.interpolate(
        pixels, size=(resolution, resolution), mode="bilinear", align_corners=False, antialias=shrinks
    )


def by_channel(values: Sequence[float] | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return C numbers as a float32 tensor (1, C, 1, 1) that broadcasts over images; keep tensors as is."""
    if isinstance(values, torch.Tensor):
        return values
    return torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1)
