"""From stored pixels to what a network reads: one rule for training, evaluation and deployment."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F


def prepare(
    images: torch.Tensor, resolution: int, mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """Scale to [0, 1], resize and normalise.

    Args:
        images: (B, C, H, W) uint8, or floats already in [0, 1].
        resolution: Side of the result in pixels.
        mean: One number a channel, of pixels in [0, 1].
        std: One number a channel, of pixels in [0, 1].

    Returns:
        (B, C, resolution, resolution) float32, channels-last in memory.
    """
    pixels = images.float().div(255.0) if images.dtype == torch.uint8 else images.float()
    if pixels.shape[-2:] != (resolution, resolution):
        shrinks = max(pixels.shape[-2:]) > resolution
        pixels = F.interpolate(
            pixels, size=(resolution, resolution), mode="bilinear", align_corners=False, antialias=shrinks
        )
    shape = (1, -1, 1, 1)
    pixels = (pixels - pixels.new_tensor(mean).view(shape)) / pixels.new_tensor(std).view(shape)
    return pixels.contiguous(memory_format=torch.channels_last)
