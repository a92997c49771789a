"""Multiply-adds of well-known networks, against published figures."""

import pytest
import timm
import torch
import torchvision

from edanas.core.tracing import count_macs

PAPERS = [
    ("resnet18", 1.8e9, 0.01),  # He et al., Deep Residual Learning (CVPR 2016), Table 1
    ("mobilenetv2_100", 300e6, 0.005),  # Sandler et al., MobileNetV2 (CVPR 2018), Table 4
    ("mobilenetv3_large_100", 219e6, 0.015),  # Howard et al., Searching for MobileNetV3 (ICCV 2019), Table 3
    ("mobilenetv3_small_100", 56e6, 0.015),  # the same, Table 3
    ("efficientnet_b0", 0.39e9, 0.015),  # Tan and Le, EfficientNet (ICML 2019), Table 2
    ("vgg13", 11.3e9, 0.005),  # Simonyan and Zisserman give none; as torchvision publishes it, rounded
]
"""Models of timm, published multiply-adds (most with two digits), and the allowed relative difference."""

TORCHVISION = [
    *("alexnet", "vgg13", "resnet18", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"),
    "efficientnet_b0",
]


@pytest.mark.parametrize(("name", "published", "tolerance"), PAPERS)
def test_macs_equal_those_of_papers_and_timm(name, published, tolerance):
    with torch.device("meta"):
        model = timm.create_model(name)
    assert count_macs(model, (3, 224, 224)) == pytest.approx(published, rel=tolerance)


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name):
    """torchvision publishes "GFLOPS" (which are multiply-adds) to three digits with each model's weights."""
    with torch.device("meta"):
        model = torchvision.models.get_model(name)
    published = torchvision.models.get_model_weights(name).DEFAULT.meta["_ops"]
    assert count_macs(model, (3, 224, 224)) / 1e9 == pytest.approx(published, abs=0.0005)
