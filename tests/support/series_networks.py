"""Made series, and small networks of `elastic-1d` for them."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from small_runs import workbench

from edanas.core.settings import Component
from edanas.core.space import SearchSpace
from edanas.core.types import DataParts, ImageSet, SelectionScheme
from edanas.evaluation.workbench import Workbench
from edanas.model.eenn import EENN
from edanas.supernets.elastic_1d import Elastic1dProvider

LENGTH, CHANNELS, CLASSES = 40, 3, ("a", "b", "c")

SMALL_1D: dict[str, Any] = {
    "resolutions": [20, LENGTH],
    "widths": [0.5, 1.0],
    "depths": [1, 2],
    "kernels": [3, 7],
    "expansions": [1, 2],
    "channels": [8, 8, 12, 12, 16],
}


def series_set(count: int, seed: int, *, padded: bool = False) -> ImageSet:
    """Return waves (count, 3, 1, 40), whose frequency is the class; padded series have 10 to 40 values."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % len(CLASSES)
    phase = torch.rand(count, CHANNELS, 1, generator=generator) * 6
    times = torch.arange(LENGTH) / 5
    waves = (times * (labels[:, None, None] + 1) + phase).sin()
    waves = waves + 0.2 * torch.randn(waves.shape, generator=generator)
    if padded:
        lengths = torch.randint(10, LENGTH + 1, (count, 1, 1), generator=generator)
        waves = waves.masked_fill(torch.arange(LENGTH) >= lengths, torch.nan)
    return ImageSet(waves[:, :, None], labels, CLASSES)


@cache
def series_parts(*, padded: bool = False) -> DataParts:
    """Return the four parts of made series; their channels have mean 0 and standard deviation 0.7."""
    sets = [series_set(count, seed, padded=padded) for seed, count in enumerate((48, 12, 24, 24))]
    return DataParts(*sets, mean=(0.0,) * CHANNELS, std=(0.7,) * CHANNELS)


def series_bench(folder: Path, *, padded: bool = False, **options: Any) -> Workbench:
    """Return the workbench of a run on made series, with a small `elastic-1d`."""
    options = {**SMALL_1D, "masked": padded, **options}
    provider = Elastic1dProvider(**options)
    space = SearchSpace(provider.variables(), "continuous", provider.exit_points, cut=True)
    bench = workbench(folder)
    settings = replace(bench.settings, supernet=Component("elastic-1d", options))
    parts = series_parts(padded=padded)
    return replace(bench, settings=settings, provider=provider, space=space, parts=parts)


def first_channel(parts: DataParts) -> DataParts:
    """Return series of one channel."""
    names = ("train", "calibration", "validation", "test")
    sets = {name: getattr(parts, name) for name in names}
    sets = {name: replace(each, images=each.images[:, :1]) for name, each in sets.items()}
    return replace(parts, **sets, mean=parts.mean[:1], std=parts.std[:1])


def series_network(
    folder: Path, *, padded: bool = False, smallest: bool = False, seed: int = 0, mono: bool = False
) -> EENN:
    """Return an untrained network with exits after the first and the third stage."""
    bench = series_bench(folder, padded=padded)
    if mono:
        bench = replace(bench, parts=first_channel(bench.parts))
    backbone = bench.space.smallest() if smallest else bench.space.largest()
    torch.manual_seed(seed)
    staged = bench.provider.build(backbone, bench.parts.task)
    heads = bench.fresh_heads(staged, (0, 2))
    network = bench.network(staged, heads, SelectionScheme((0.1, None, 0.2, None)))
    bench.recalibrate(network)
    network.description = bench.describe(backbone)
    return network.eval()
