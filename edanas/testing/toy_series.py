"""Made series of sines, for the conformance suites."""

from collections.abc import Sequence

import torch

from edanas.core.types import ImageSet


def toy_series(count: int, length: int, channels: int, classes: Sequence[str]) -> ImageSet:
    """Return noisy sines (count, `channels`, 1, `length`), whose frequency is the class.

    Args:
        count: Number of series.
        length: Their length.
        channels: Number of channels.
        classes: Names of the classes.

    Example:
        >>> toy_series(4, 10, 2, ("slow", "fast")).images.shape
        torch.Size([4, 2, 1, 10])
    """
    generator = torch.Generator().manual_seed(7)
    labels = torch.arange(count) % len(classes)
    phase = 6 * torch.rand(count, channels, 1, generator=generator)
    waves = (torch.arange(length) / 5 * (labels[:, None, None] + 1) + phase).sin()
    noise = torch.randn(waves.shape, generator=generator)
    return ImageSet((waves + 0.2 * noise)[:, :, None], labels, tuple(classes))
