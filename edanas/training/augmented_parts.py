"""Augmented copies of the calibration and validation samples of small data sets."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from edanas.core.preprocess import by_channel, prepare
from edanas.core.settings import ALTERNATING
from edanas.core.types import DataParts, ImageSet
from edanas.training.augment import augment

HELD_OUT = ("calibration", "validation")
"""The parts that get copies."""


def with_copies(parts: DataParts, copies: int, names: tuple[str, ...], seed: int) -> DataParts:
    """Return the parts with augmented copies of each calibration and validation sample after the samples.

    Args:
        parts: The parts of the data.
        copies: Number of copies of each sample; 0 returns `parts`.
        names: Names of the augmentations, those of the training.
        seed: Seed of the augmentations.

    Example:
        >>> from edanas.testing.toy_networks import toy_images
        >>> images = toy_images(8, seed=0)
        >>> parts = DataParts(images, images, images, images, mean=(0.4,), std=(0.25,))
        >>> len(with_copies(parts, 3, ("shift",), seed=0).validation)
        32
    """
    if not copies or not names:
        return parts
    # Copies have no epochs between which they could alternate.
    names = tuple("flip" if name == ALTERNATING else name for name in names)
    generator = torch.Generator().manual_seed(seed)
    changed: dict[str, Any] = {}
    for name in HELD_OUT:
        part: ImageSet = getattr(parts, name)
        images = [part.images, *(_augmented(part, parts, names, generator) for _ in range(copies))]
        windows = part.window_of
        if windows is not None:  # a copy of a series is a series of its own
            count = int(windows.max(initial=0)) + 1
            windows = np.concatenate([windows + number * count for number in range(copies + 1)])
        changed[name] = replace(
            part, images=torch.cat(images), labels=part.labels.repeat(copies + 1), window_of=windows
        )
    return replace(parts, **changed, copies=copies)


def _augmented(
    part: ImageSet, parts: DataParts, names: tuple[str, ...], generator: torch.Generator
) -> torch.Tensor:
    """Return an augmented copy of the samples of a part, as they are stored."""
    size = (part.images.shape[-2], part.images.shape[-1])
    mean, std = (by_channel(values, part.images.device) for values in (parts.mean, parts.std))
    changed = augment(prepare(part.images, size, mean, std), names, generator) * std + mean
    if part.images.is_floating_point():
        return changed.contiguous()
    return (changed * 255).round_().clamp_(0, 255).to(torch.uint8).contiguous()
