"""Augmentation of a whole batch at once, on the device it is on."""

import math
from collections.abc import Collection

import torch
import torch.nn.functional as F

SHIFT = 0.125
"""Largest shift as a share of the side: 4 pixels of 32."""
ROTATION = math.radians(12.0)
ZOOM = 0.1
ERASED = 0.3
"""Side of the erased square as a share of the image's."""


def augment(images: torch.Tensor, names: Collection[str], generator: torch.Generator) -> torch.Tensor:
    """Randomly changed copies of `images`.

    Args:
        images: (B, C, R, R) normalised floats.
        names: Any of `shift`, `flip`, `rotate` (with a slight zoom) and `erase` (a square set to the mean).
        generator: A CPU generator; the draws do not depend on the device.

    Returns:
        (B, C, R, R), channels-last.
    """
    count = len(images)
    if {"shift", "flip", "rotate"} & set(names):
        theta = _affine(count, names, generator).to(images.device)
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    if "erase" in names:
        images = images * _holes(count, images.shape[-1], generator).to(images.device)
    return images.contiguous(memory_format=torch.channels_last)


def _affine(count: int, names: Collection[str], generator: torch.Generator) -> torch.Tensor:
    """(B, 2, 3) matrices in the normalised coordinates of `affine_grid`, where the side is 2 long."""

    def uniform(reach: float) -> torch.Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * reach

    angle, zoom = torch.zeros(count), torch.ones(count)
    shift_x, shift_y, mirror = torch.zeros(count), torch.zeros(count), torch.ones(count)
    if "rotate" in names:
        angle, zoom = uniform(ROTATION), 1 + uniform(ZOOM)
    if "shift" in names:
        shift_x, shift_y = uniform(2 * SHIFT), uniform(2 * SHIFT)
    if "flip" in names:
        mirror = torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    rows = [torch.stack([cos * mirror, -sin, shift_x], 1), torch.stack([sin * mirror, cos, shift_y], 1)]
    return torch.stack(rows, 1)


def _holes(count: int, side: int, generator: torch.Generator) -> torch.Tensor:
    """(B, 1, side, side) of 1, with one square of 0 each."""
    hole = max(1, round(side * ERASED))
    start = torch.randint(0, side - hole + 1, (2, count, 1), generator=generator)
    at = torch.arange(side)
    inside = (at >= start) & (at < start + hole)
    return 1.0 - (inside[0][:, :, None] & inside[1][:, None, :]).float()[:, None]
