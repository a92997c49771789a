"""Augmentation of batches of images or series, on the device of the batch."""

import math
from collections.abc import Collection

import numpy as np
import torch
import torch.nn.functional as F

from edanas.training.augment_series import augment_series

SHIFT = 0.125
"""Largest shift, as a share of the image's side: 4 pixels at 32 pixels."""
ROTATION = math.radians(12.0)
"""Largest rotation in radians."""
ZOOM = 0.1
"""Largest relative change of the scale: scales are drawn from 0.9 to 1.1."""
ERASED = 0.3
"""Side of the erased square, as a share of the image's side."""
BAND = 0.2
"""Largest width of a band of `spectrum`, as a share of the image's side."""
MIXED = 0.2
"""Both parameters of the Beta distribution from which mixup draws the share of an image."""


def augment(
    images: torch.Tensor,
    names: Collection[str],
    generator: torch.Generator,
    mirrored: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return randomly changed images of a batch.

    The augmentations are `shift`, `flip` (left to right), `rotate` (and a slight zoom), and `erase`, which
    sets a square to the mean colour. `spectrum` sets a band of rows and a band of columns to it. Areas
    outside of a shifted or rotated image repeat its border pixels. Images are shifted by whole pixels unless
    they are also rotated. Bands follow Park et al., SpecAugment, Interspeech 2019.

    Args:
        images: Batch of B normalised images (B, C, R, R), float; or series (B, C, 1, R), for which
            `edanas.training.augment_series` describes the augmentations.
        names: Names of the augmentations to apply. Other names are ignored.
        generator: A CPU generator, so that the random numbers do not depend on the device of the images.
        mirrored: True for each image to mirror (B,), on the CPU, without `flip` in `names`; `None`, the
            default, mirrors none.

    Returns:
        The changed images (B, C, R, R), in the memory format channels-last.

    Example:
        >>> images = torch.ones(2, 1, 8, 8)
        >>> changed = augment(images, ["shift", "erase"], torch.Generator().manual_seed(0))
        >>> changed.shape, int((changed == 0).sum())
        (torch.Size([2, 1, 8, 8]), 8)
    """
    if images.shape[2] == 1:
        series = augment_series(images, names, generator, mirrored)
        return series.contiguous(memory_format=torch.channels_last)
    count = len(images)
    if "rotate" in names:
        theta = _affine(count, names, generator, mirrored).to(images.device)
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    elif mirrored is not None or {"shift", "flip"} & set(names):
        images = _shift_and_flip(images, names, generator, mirrored)
    if "erase" in names:
        images = images * _holes(count, images.shape[-1], generator).to(images.device)
    if "spectrum" in names:
        images = images * _bands(images, 2, generator) * _bands(images, 3, generator)
    return images.contiguous(memory_format=torch.channels_last)


def mix(
    images: torch.Tensor, labels: torch.Tensor, classes: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend each image and label with another image and label of the batch.

    Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018.

    Args:
        images: Batch of B normalised images (B, C, R, R), float.
        labels: Labels (B,), int64, or class probabilities (B, K).
        classes: K, the number of classes.
        generator: A CPU generator, from which the share of the blend is drawn.

    Returns:
        The blended images (B, C, R, R), and the blended labels as class probabilities (B, K).
    """
    rng = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    share = float(rng.beta(MIXED, MIXED))
    probabilities = (F.one_hot(labels, classes) if labels.ndim == 1 else labels).to(images.dtype)
    blended = images * share + images.flip(0) * (1 - share)
    return blended, probabilities * share + probabilities.flip(0) * (1 - share)


def _shift_and_flip(
    images: torch.Tensor, names: Collection[str], generator: torch.Generator, mirrored: torch.Tensor | None
) -> torch.Tensor:
    """Shift images by whole pixels and mirror them, in one indexing operation; border pixels are repeated."""
    count, _, height, width = images.shape
    positions = [torch.arange(side).expand(count, side) for side in (height, width)]
    if "shift" in names:
        share = (torch.rand(2, count, 1, generator=generator) * 2 - 1) * SHIFT
        positions = [
            (a + (s * a.shape[1]).round().long()).clamp(0, a.shape[1] - 1)
            for a, s in zip(positions, share, strict=True)
        ]
    if "flip" in names:
        mirrored = torch.randint(0, 2, (count,), generator=generator).bool()
    if mirrored is not None:
        positions[1] = torch.where(mirrored[:, None], positions[1].flip(1), positions[1])
    rows, columns = (a.to(images.device) for a in positions)
    samples = torch.arange(count, device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _affine(
    count: int, names: Collection[str], generator: torch.Generator, mirrored: torch.Tensor | None
) -> torch.Tensor:
    """Draw affine maps (count, 2, 3) for `affine_grid`, in whose coordinates a side has length 2."""

    def uniform(limit: float) -> torch.Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * limit

    angle, zoom = uniform(ROTATION), 1 + uniform(ZOOM)
    shift_x, shift_y, mirror = torch.zeros(count), torch.zeros(count), torch.ones(count)
    if "shift" in names:
        shift_x, shift_y = uniform(2 * SHIFT), uniform(2 * SHIFT)
    if "flip" in names:
        mirror = torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1
    elif mirrored is not None:
        mirror = 1 - 2.0 * mirrored
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    rows = [torch.stack([cos * mirror, -sin, shift_x], 1), torch.stack([sin * mirror, cos, shift_y], 1)]
    return torch.stack(rows, 1)


def _bands(images: torch.Tensor, dim: int, generator: torch.Generator) -> torch.Tensor:
    """Draw masks for images, which are 0 in a band of random width of rows (`dim` 2) or columns (3)."""
    count, side = len(images), images.shape[dim]
    width = torch.randint(0, max(1, round(side * BAND)) + 1, (count, 1), generator=generator)
    start = (torch.rand(count, 1, generator=generator) * (side - width + 1)).floor()
    positions = torch.arange(side)
    outside = ((positions < start) | (positions >= start + width)).to(images.device, images.dtype)
    return outside[:, None, :, None] if dim == 2 else outside[:, None, None, :]


def _holes(count: int, side: int, generator: torch.Generator) -> torch.Tensor:
    """Draw masks (count, 1, side, side), which are 0 in one random square and 1 elsewhere."""
    hole = max(1, round(side * ERASED))
    start = torch.randint(0, side - hole + 1, (2, count, 1), generator=generator)
    positions = torch.arange(side)
    inside = (positions >= start) & (positions < start + hole)
    return 1.0 - (inside[0][:, :, None] & inside[1][:, None, :]).float()[:, None]
