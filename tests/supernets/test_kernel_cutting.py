"""Backbones of small images have kernels without the weights that never reach the features."""

import copy

import pytest
import torch
from torch import nn

from edanas.core.kernel_reach import reach
from edanas.core.space import SearchSpace
from edanas.core.tracing import trace
from edanas.core.types import Task
from edanas.supernets.elastic_resnet import ElasticResNetProvider
from edanas.supernets.kernel_cutting import cut_kernel
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.supernets.ofa_proxyless import OFAProxylessProvider

TASK = Task(1, 5)
PROVIDERS = {
    "mbv3": OFAMobileNetV3Provider(widths=(0.35,), resolutions=(8,), stem_stride=1, last_width=64),
    "proxyless": OFAProxylessProvider(widths=(0.35,), resolutions=(8,), stem_stride=1),
    "resnet": ElasticResNetProvider(widths=(0.2, 0.4), resolutions=(8,), stage_strides=(2, 2, 2, 2, 1)),
}


def largest_and_smallest(provider):
    space = SearchSpace(provider.variables(), (None,), provider.exit_points)
    return space.largest(), space.smallest()


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_a_backbone_of_tiny_features_is_cut_and_computes_as_the_supernet(provider):
    torch.manual_seed(0)
    supernet, images = provider.supernet(TASK).eval(), torch.randn(3, 1, 8, 8)
    for backbone in largest_and_smallest(provider):
        plain = supernet.extract(backbone)
        torch.testing.assert_close(plain(images), supernet.view(backbone)(images), rtol=1e-5, atol=1e-5)
        last = [module for module in plain.stages[-1].modules() if isinstance(module, nn.Conv2d)]
        assert {conv.kernel_size for conv in last} == {(1, 1)}
        costs = provider.costs(backbone, TASK)
        assert costs == trace(plain, TASK.in_channels)
        assert costs == trace(provider.build(backbone, TASK), TASK.in_channels)


def test_the_first_convolution_of_a_dense_network_is_cut_if_its_stride_skips_the_features():
    torch.manual_seed(0)
    provider = ElasticResNetProvider(widths=(0.2,), resolutions=(4,), stem_stride=4, depths=(1,))
    backbone, images = largest_and_smallest(provider)[0], torch.randn(3, 1, 4, 4)
    supernet = provider.supernet(TASK).eval()
    plain, built = supernet.extract(backbone), provider.build(backbone, TASK)
    torch.testing.assert_close(plain(images), supernet.view(backbone)(images), rtol=1e-5, atol=1e-5)
    assert plain.stages[0][0].main.conv.kernel_size == (2, 2)
    assert provider.costs(backbone, TASK) == trace(plain, 1) == trace(built, 1)
    built.load_state_dict(plain.state_dict())
    torch.testing.assert_close(built.eval()(images), plain(images))


def test_a_network_that_was_saved_with_whole_kernels_can_be_loaded():
    torch.manual_seed(0)
    whole = nn.Conv2d(4, 4, 7, padding=3, groups=4)
    conv = copy.deepcopy(whole)
    cut_kernel(conv, reach(2, 7, 1, 3))
    assert conv.kernel_size == (3, 3)
    features = torch.randn(2, 4, 2, 2)
    torch.testing.assert_close(conv(features), whole(features))
    other = copy.deepcopy(conv)
    nn.init.zeros_(other.weight)
    other.load_state_dict(whole.state_dict())
    torch.testing.assert_close(other(features), whole(features))
    other.load_state_dict(conv.state_dict())
    torch.testing.assert_close(other(features), whole(features))
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state_dict({"weight": torch.zeros(5, 1, 3, 3), "bias": whole.bias})


def test_a_kernel_that_reaches_the_features_is_left():
    conv = nn.Conv2d(4, 4, 3, padding=1, groups=4)
    cut_kernel(conv, reach(4, 3, 1, 1))
    assert (conv.kernel_size, conv.padding) == ((3, 3), (1, 1))
