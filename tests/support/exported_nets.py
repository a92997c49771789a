"""Networks of the smallest real supernet for tests of exporters, and digits to classify."""

import copy
import functools
from pathlib import Path

import numpy as np
import torch
from small_runs import parts, space, workbench

from edanas.core.preprocess import PREPROCESSING
from edanas.core.types import ImageSet, SelectionScheme
from edanas.model.eenn import EENN

PLACED = (1, 3)


@functools.cache
def network(seed: int = 0, placed: tuple[int, ...] = PLACED) -> EENN:
    """Return an untrained network; half of the samples that reach an exit leave there."""
    bench = workbench(Path())
    backbone = space().sample_backbone(np.random.default_rng(seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        staged = bench.provider.build(backbone, bench.parts.task)
        heads = bench.fresh_heads(staged, placed)
    exported = bench.network(staged, heads, SelectionScheme((None,) * 4))
    bench.recalibrate(exported)
    exported.description = bench.describe(backbone)
    confidence = exported.eval().all_exits(images())[1]
    remaining = torch.ones(len(confidence), dtype=torch.bool)
    thresholds: list[float | None] = [None] * 4
    for column, point in enumerate(placed):
        # The middle of two confidences, so that none lies within rounding of a threshold.
        middle = confidence[remaining, column].sort().values
        half = len(middle) // 2
        thresholds[point] = float(middle[half - 1 : half + 1].mean())
        remaining &= confidence[:, column] < thresholds[point]
    exported.scheme = tuple(thresholds)
    return exported


@functools.cache
def unsized_network() -> EENN:
    """Return `network()` as older versions described it: without the size of its images."""
    unsized = copy.deepcopy(network())
    del unsized.description[PREPROCESSING]
    return unsized


def samples() -> ImageSet:
    return parts().test


def images() -> torch.Tensor:
    return samples().images


def plain(prediction):
    """Return the prediction of an EENN as the arrays that a runner returns."""
    return [each.numpy() for each in prediction]
