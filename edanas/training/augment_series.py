"""Augmentation of batches of series, on the device of the batch.

Um et al., Data Augmentation of Wearable Sensor Data, ICMI 2017, describe jitter, scaling, rotation of the
sensor and time warping.
"""

import math
from collections.abc import Collection

import torch
import torch.nn.functional as F

SHIFT = 0.125
"""Largest shift, as a share of the length of a series without its padding."""
NOISE = 0.1
"""Largest standard deviation of the noise of `jitter`, where that of a channel is 1."""
SCALING = 0.1
"""Standard deviation of the factors of `scale`, whose mean is 1."""
ANGLE = math.radians(15.0)
"""Largest angle of `rotate` in radians."""
PACE = 0.25
"""Standard deviation of the logarithm of the pace of `warp` at its knots."""
KNOTS = 5
"""Number of equally distant times at which `warp` draws a pace."""
ERASED = 0.2
"""Length of the erased part, as a share of the length of a series without its padding."""


def augment_series(
    series: torch.Tensor,
    names: Collection[str],
    generator: torch.Generator,
    mirrored: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return randomly changed series of a batch; padding stays in its place.

    `shift`, `warp` (a changing pace) and `flip` (time reversed) change the times; values at the ends repeat.
    `rotate` turns the first three channels, the axes of a sensor. `scale` has a factor for each channel,
    `jitter` adds noise of a random strength to each series. `erase` sets a part to the mean of the channel.
    Shifts and erased parts are shares of a series without its padding.

    Args:
        series: Batch of B normalised series (B, C, 1, L), float, NaN at padding.
        names: Names of the augmentations to apply. Other names are ignored.
        generator: A CPU generator, so that the random numbers do not depend on the device of the series.
        mirrored: True for each series to reverse; see `edanas.training.augment.augment`.

    Example:
        >>> series = torch.arange(8.0).view(1, 1, 1, 8)
        >>> augment_series(series, ["shift"], torch.Generator().manual_seed(0))
        tensor([[[[0., 1., 2., 3., 4., 5., 6., 7.]]]])
        >>> augment_series(series, ["shift"], torch.Generator().manual_seed(1))
        tensor([[[[1., 2., 3., 4., 5., 6., 7., 7.]]]])
    """
    count, channels, _, length = series.shape
    device = series.device
    if mirrored is not None or {"shift", "warp", "flip"} & set(names):
        series = _moved(series, names, generator, mirrored)
    if "rotate" in names and channels >= 3:
        turned = torch.einsum("bij,bjxl->bixl", _rotations(count, generator).to(device), series[:, :3])
        series = torch.cat([turned, series[:, 3:]], 1)
    if "scale" in names:
        factors = 1 + SCALING * torch.randn(count, channels, 1, 1, generator=generator)
        series = series * factors.to(device)
    if "jitter" in names:
        strengths = NOISE * torch.rand(count, 1, 1, 1, generator=generator)
        series = series + (strengths * torch.randn(series.shape, generator=generator)).to(device)
    if "erase" in names:
        hole = max(1, round(length * ERASED))
        start = torch.randint(0, length - hole + 1, (count, 1), generator=generator)
        positions = torch.arange(length) * (length / (_last(series) + 1))
        inside = ((positions >= start) & (positions < start + hole))[:, None, None].to(device)
        series = torch.where(inside & ~series.isnan(), torch.zeros_like(series), series)
    return series


def _moved(
    series: torch.Tensor, names: Collection[str], generator: torch.Generator, mirrored: torch.Tensor | None
) -> torch.Tensor:
    """Return series read at other times, between the values linearly; padding stays."""
    count, channels, _, length = series.shape
    padded = series[:, :1].isnan()
    last = _last(series)
    times = torch.arange(length, dtype=torch.float32).expand(count, length)
    if "warp" in names:
        times = _compressed(_warped(count, length, generator), last) * last
    if "flip" in names:
        mirrored = torch.randint(0, 2, (count,), generator=generator).bool()
    if mirrored is not None:
        times = torch.where(mirrored[:, None], last - times, times)
    if "shift" in names:
        shares = (torch.rand(count, 1, generator=generator) * 2 - 1) * SHIFT
        times = times + (shares * (last + 1)).round()
    times = torch.minimum(times.clamp(min=0.0), last.float()).to(series.device)
    below = times.long()
    share = (times - below)[:, None]
    above = torch.minimum(below + 1, last.to(series.device))
    values = series[:, :, 0].masked_fill(padded[:, 0], 0.0)
    first, second = (values.gather(2, at[:, None].expand(-1, channels, -1)) for at in (below, above))
    moved = (first * (1 - share) + second * share)[:, :, None]
    return moved.masked_fill(padded, torch.nan)


def _last(series: torch.Tensor) -> torch.Tensor:
    """Return the position (B, 1) of the last value of each series before its padding, on the CPU."""
    return ((~series[:, 0, 0].isnan()).sum(1, keepdim=True) - 1).clamp(min=0).cpu()


def _warped(count: int, length: int, generator: torch.Generator) -> torch.Tensor:
    """Return increasing times (count, length) from 0 to 1, at a pace that is smooth between random knots."""
    knots = (PACE * torch.randn(count, 1, KNOTS, generator=generator)).exp()
    pace = F.interpolate(knots, size=max(1, length - 1), mode="linear", align_corners=True)[:, 0]
    times = torch.cat([torch.zeros(count, 1), pace.cumsum(1)], 1)[:, :length]
    return times / times[:, -1:].clamp(min=1e-9)


def _compressed(times: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """Return rows of times (B, L), compressed in position: the last time is at position `last` (B, 1)."""
    end = times.shape[1] - 1
    places = (torch.arange(end + 1) * (end / last.clamp(min=1))).clamp(max=end)
    below = places.long()
    above = (below + 1).clamp(max=end)
    return torch.lerp(times.gather(1, below), times.gather(1, above), places - below)


def _rotations(count: int, generator: torch.Generator) -> torch.Tensor:
    """Return rotation matrices (count, 3, 3) about random axes, by Rodrigues' formula."""
    axes = F.normalize(torch.randn(count, 3, generator=generator), dim=1)
    angles = ((torch.rand(count, 1, 1, generator=generator) * 2 - 1) * ANGLE).to(torch.float32)
    cross = torch.zeros(count, 3, 3)
    x, y, z = axes.unbind(1)
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -z, y, -x
    cross = cross - cross.transpose(1, 2)
    return torch.eye(3) + angles.sin() * cross + (1 - angles.cos()) * (cross @ cross)
