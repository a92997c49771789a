"""A small space of `ofa-mbv3`, with backbones of a space and images for them."""

import numpy as np
import torch

from edanas.core.space import SearchSpace
from edanas.core.types import Task
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider

TASK = Task(in_channels=1, num_classes=5)
SMALL = OFAMobileNetV3Provider(widths=(0.25, 0.5), resolutions=(16, 24), stem_stride=1, last_width=0)


def space(provider):
    return SearchSpace(provider.variables(), (0.1, None), provider.exit_points)


def images(backbone, count=3, seed=0):
    side = backbone["resolution"]
    return torch.randn(count, TASK.in_channels, side, side, generator=torch.Generator().manual_seed(seed))


def backbones(provider, count, seed=0):
    rng = np.random.default_rng(seed)
    drawn = space(provider)
    return [drawn.smallest(), drawn.largest(), *(drawn.sample_backbone(rng) for _ in range(count))]
