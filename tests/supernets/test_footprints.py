"""Footprints that providers count from sizes equal the footprints of networks that are built and traced."""

import numpy as np
import pytest

from edanas.core.space import SearchSpace
from edanas.core.tracing import trace
from edanas.core.types import Task
from edanas.supernets.elastic_resnet import ElasticResNetProvider
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.supernets.ofa_proxyless import OFAProxylessProvider

SMALL = {"widths": (0.35, 1.0), "resolutions": (8, 24), "depths": (1, 2), "kernels": (3, 5)}

PROVIDERS = {
    "mobile": OFAMobileNetV3Provider(**SMALL),
    "mobile without last layers": OFAMobileNetV3Provider(
        **SMALL, stem_stride=1, final_expand=0, last_width=0
    ),
    "minimalistic mobile": OFAMobileNetV3Provider(**SMALL, minimalistic=True),
    "proxyless": OFAProxylessProvider(**SMALL),
    "dense": ElasticResNetProvider(resolutions=(8, 24)),
    "dense with max-pooling": ElasticResNetProvider(
        resolutions=(9, 24), downsampling="pooled", activation="gelu"
    ),
}


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("task", [Task(1, 10), Task(3, 4)])
def test_counted_footprints_equal_traced_footprints(name, task):
    provider = PROVIDERS[name]
    space = SearchSpace(provider.variables(), (None,), provider.exit_points)
    generator = np.random.default_rng(0)
    for _ in range(3):
        backbone = space.sample_backbone(generator)
        counted, traced = (
            provider.costs(backbone, task),
            trace(provider.build(backbone, task), task.in_channels),
        )
        pairs = zip((*counted[0], counted[1]), (*traced[0], traced[1]), strict=True)
        for number, (one, other) in enumerate(pairs, 1):
            assert one.footprint == other.footprint, f"segment {number} of {backbone}"
