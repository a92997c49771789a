"""Augmentation of a whole batch at once, on the device of the batch."""

import math
from collections.abc import Collection

import numpy as np
import torch
import torch.nn.functional as F

SHIFT = 0.125
"""Largest shift as a share of the side: 4 pixels of 32."""
ROTATION = math.radians(12.0)
"""Largest rotation in radians."""
ZOOM = 0.1
"""Largest change of the scale, as a share."""
ERASED = 0.3
"""Side of the erased square as a share of the image's."""
MIXED = 0.2
"""Both parameters of the Beta distribution of the shares in mixup."""


def augment(images: torch.Tensor, names: Collection[str], generator: torch.Generator) -> torch.Tensor:
    """Return randomly changed copies of `images`.

    Args:
        images: (B, C, R, R) normalised floats.
        names: Any of `shift`, `flip`, `rotate` (with a slight zoom) and `erase` (a square set to the mean).
            Shifted images repeat their border pixels; without `rotate` they shift by whole pixels.
        generator: A CPU generator; the draws do not depend on the device.

    Returns:
        (B, C, R, R), channels-last.

    Example:
        >>> images = torch.ones(2, 1, 8, 8)
        >>> changed = augment(images, ["shift", "erase"], torch.Generator().manual_seed(0))
        >>> changed.shape, int((changed == 0).sum())
        (torch.Size([2, 1, 8, 8]), 8)
    """
    count = len(images)
    if "rotate" not in names and {"shift", "flip"} & set(names):
        images = _shift_and_flip(images, names, generator)
    elif "rotate" in names:
        theta = _affine(count, names, generator).to(images.device)
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    if "erase" in names:
        images = images * _holes(count, images.shape[-1], generator).to(images.device)
    return images.contiguous(memory_format=torch.channels_last)


def mix(
    images: torch.Tensor, labels: torch.Tensor, classes: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend each image with another one of the batch, and their labels too (Zhang et al., mixup, 2018).

    Args:
        images: (B, C, R, R) normalised floats.
        labels: (B,) int64.
        classes: Number of classes K.
        generator: A CPU generator.

    Returns:
        Images (B, C, R, R) and probabilities (B, K).
    """
    rng = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    share = float(rng.beta(MIXED, MIXED))
    probabilities = F.one_hot(labels, classes).to(images.dtype)
    blended = images * share + images.flip(0) * (1 - share)
    return blended, probabilities * share + probabilities.flip(0) * (1 - share)


def _shift_and_flip(images: torch.Tensor, names: Collection[str], generator: torch.Generator) -> torch.Tensor:
    """Shift by whole pixels and mirror, in one indexing operation; border pixels are repeated."""
    count, _, height, width = images.shape
    positions = [torch.arange(side).expand(count, side) for side in (height, width)]
    if "shift" in names:
        share = (torch.rand(2, count, 1, generator=generator) * 2 - 1) * SHIFT
        positions = [
            (a + (s * a.shape[1]).round().long()).clamp(0, a.shape[1] - 1)
            for a, s in zip(positions, share, strict=True)
        ]
    if "flip" in names:
        mirrored = torch.randint(0, 2, (count, 1), generator=generator).bool()
        positions[1] = torch.where(mirrored, positions[1].flip(1), positions[1])
    rows, columns = (a.to(images.device) for a in positions)
    samples = torch.arange(count, device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _affine(count: int, names: Collection[str], generator: torch.Generator) -> torch.Tensor:
    """Draw (B, 2, 3) matrices in the coordinates of `affine_grid`, in which the side has length 2."""

    def uniform(limit: float) -> torch.Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * limit

    angle, zoom = uniform(ROTATION), 1 + uniform(ZOOM)
    shift_x, shift_y, mirror = torch.zeros(count), torch.zeros(count), torch.ones(count)
    if "shift" in names:
        shift_x, shift_y = uniform(2 * SHIFT), uniform(2 * SHIFT)
    if "flip" in names:
        mirror = torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    rows = [torch.stack([cos * mirror, -sin, shift_x], 1), torch.stack([sin * mirror, cos, shift_y], 1)]
    return torch.stack(rows, 1)


def _holes(count: int, side: int, generator: torch.Generator) -> torch.Tensor:
    """Draw (B, 1, side, side) masks of 1, with one square of 0 each."""
    hole = max(1, round(side * ERASED))
    start = torch.randint(0, side - hole + 1, (2, count, 1), generator=generator)
    positions = torch.arange(side)
    inside = (positions >= start) & (positions < start + hole)
    return 1.0 - (inside[0][:, :, None] & inside[1][:, None, :]).float()[:, None]
