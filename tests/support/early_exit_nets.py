"""Small early-exit networks for tests of exits and thresholds."""

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import nn

from edanas.core.contracts import ConfidenceCriterion, InferenceRule, StagedBackbone
from edanas.exits.criteria import ScoreMargin
from edanas.exits.inference import EarlyStop
from edanas.model.eenn import EENN

RESOLUTION = 8
CLASSES = ("a", "b", "c")


def pool_linear(channels: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, len(CLASSES)))


def make_eenn(
    scheme: tuple[float | None, ...],
    heads: Iterable[int] | None = None,
    seed: int = 0,
    channels: int = 1,
    criterion: ConfidenceCriterion | None = None,
    inference: InferenceRule | None = None,
) -> EENN:
    """Return an EENN of len(scheme) + 1 stages, in float64 so that a confidence is the same in any batch."""
    torch.manual_seed(seed)
    count = len(scheme) + 1
    widths = [channels, *range(3, 3 + count)]
    stages = [
        nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.Hardswish())
        for a, b in pairwise(widths)
    ]
    at = range(len(scheme)) if heads is None else heads
    network = EENN(
        StagedBackbone(stages, pool_linear(widths[-1]), RESOLUTION),
        {index: pool_linear(widths[index + 1]) for index in at},
        scheme,
        (criterion or ScoreMargin()).build(len(CLASSES), len(scheme)),
        mean=[0.4] * channels,
        std=[0.2] * channels,
        classes=CLASSES,
        inference=(inference or EarlyStop()).build(len(CLASSES), len(scheme)),
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3.0)  # spreads the confidences
    return network.double().eval()
