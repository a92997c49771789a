import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.errors import ExportError
from edanas.deploy.int8.part import Int8Part
from edanas.deploy.int8.recording import record


class Squeeze(nn.Module):
    """Squeeze-and-excitation with a hard sigmoid, around a depthwise convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 5, 2, 2, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.less, self.more = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = F.hardswish(self.norm(self.conv(features)))
        gate = self.more(F.relu(self.less(features.mean(3, keepdim=True).mean(2, keepdim=True))))
        return features * F.hardsigmoid(gate)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu6(features + self.conv(features))


class Joined(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        pooled = F.max_pool2d(features, 3, 2, 1)
        return torch.cat([pooled, F.avg_pool2d(features, 2, ceil_mode=True), pooled[:, 2:5]], dim=1)


MODULES = {
    "squeeze": (Squeeze(), (8, 9, 9), ["conv", "hardswish", "mean", "conv", "conv", "mul"]),
    "residual": (Residual(), (8, 6, 6), ["conv", "add"]),
    "joined": (Joined(), (8, 7, 7), ["maxpool", "avgpool", "slice", "concat"]),
    "sequence": (
        nn.Sequential(nn.Conv1d(3, 6, 5, 2, 2), nn.SiLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()),
        (3, 20),
        ["conv", "sigmoid", "mul", "mean", "reshape"],
    ),
    "head": (
        nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(8, 5), nn.Tanh()),
        (8, 4, 4),
        ["maxpool", "reshape", "linear", "tanh"],
    ),
    "fewer cells": (nn.Sequential(nn.AdaptiveAvgPool2d((3, 2))), (8, 4, 5), None),
    "more cells": (nn.Sequential(nn.AdaptiveMaxPool2d((2, 4))), (8, 1, 3), None),
    "cells of rows": (nn.Sequential(nn.AdaptiveAvgPool2d((3, 4))), (8, 5, 4), None),
    "norm alone": (nn.Sequential(nn.BatchNorm2d(8), nn.ReLU()), (8, 3, 3), ["conv"]),
    "padded": (nn.Sequential(nn.ZeroPad2d((1, 2, 0, 1)), nn.Flatten(), nn.Linear(192, 2)), (3, 7, 5), None),
}


def prepared(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    module, shape, _ = MODULES[name]
    generator = torch.Generator().manual_seed(1)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(generator=generator)
            norm.running_var.uniform_(0.5, 2.0, generator=generator)
    return module.eval(), shape


@pytest.mark.parametrize("name", MODULES)
def test_layers_compute_what_the_module_computes(name: str) -> None:
    module, shape = prepared(name)
    graph = record(module, shape, "stage 1")
    if MODULES[name][2] is not None:
        assert [layer.kind for layer in graph.layers] == MODULES[name][2]
    features = torch.randn(3, *shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(Int8Part(graph)(features), module(features), rtol=1e-4, atol=1e-5)


def test_norms_and_activations_join_the_layer_before_them() -> None:
    module, shape = prepared("squeeze")
    layers = record(module, shape, "stage 1").layers
    assert (layers[0].weights.module, layers[0].weights.norm) == ("conv", "norm")
    assert layers[3].bounds == (0.0, math.inf)
    assert layers[4].bounds == (0.0, 1.0)
    assert layers[0].options["groups"] == 8


@pytest.mark.parametrize(
    ("module", "cause"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.GELU()), r"stage 2, layer 1 \(GELU\): `gelu`"),
        (nn.Sequential(nn.Upsample(scale_factor=2)), r"stage 2, layer 0 \(Upsample\)"),
        (nn.Sequential(nn.ConvTranspose2d(3, 3, 2)), "transposed convolution"),
        (nn.Sequential(nn.InstanceNorm2d(3)), "layer 0"),
    ],
)
def test_a_layer_that_integers_cannot_express_is_named(module: nn.Module, cause: str) -> None:
    with pytest.raises(ExportError, match=cause):
        record(module.eval(), (3, 4, 4), "stage 2")
