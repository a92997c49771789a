"""Operators recorded from torch modules, with the arenas of published networks as an oracle."""

import pytest
import torch
from torch import nn

from edanas.core.operator_graph import CHANNEL_BYTES
from edanas.core.tracing import count_macs, operators


def convolution(before: int, after: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU())


class Block(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(convolution(before, after, 3, stride), convolution(after, after)[:2])
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1, stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the features after the addition."""
        return torch.relu(self.main(features) + self.shortcut(features))


def pooled(channels: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


def resnet8(width: int = 16) -> nn.Module:
    """The image network of MLPerf Tiny."""
    blocks = [Block(width, width, 1), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2)]
    return nn.Sequential(convolution(3, width), *blocks, *pooled(4 * width, 10))


def ds_cnn() -> nn.Module:
    """The keyword network of MLPerf Tiny."""
    first = nn.Sequential(nn.Conv2d(1, 64, (10, 4), 2, (5, 1)), nn.BatchNorm2d(64), nn.ReLU())
    layers = [nn.Sequential(convolution(64, 64, groups=64), convolution(64, 64, 1)) for _ in range(4)]
    return nn.Sequential(first, *layers, *pooled(64, 12))


@pytest.mark.parametrize(
    ("network", "shape", "activations"),
    [(resnet8(), (3, 32, 32), 49_152), (ds_cnn(), (1, 49, 10), 16_000)],
    ids=["ResNet-8", "DS-CNN"],
)
def test_published_networks_need_the_activations_of_their_arena(network, shape, activations):
    graph = operators(network, shape)
    assert graph.peak()[0] == activations
    assert sum(graph.footprint().work[:4]) == count_macs(network, shape)


def test_batch_norm_and_relu_are_part_of_the_layer_before_them():
    graph = operators(nn.Sequential(convolution(3, 8), nn.Hardswish(), nn.ReLU6()), (3, 4, 4))
    assert [each.name.split()[0] for each in graph.operators] == ["convolution", "hardswish", "hardtanh"]
    assert graph.operators[0].flash == 27 * 8 + CHANNEL_BYTES * 8


def test_in_place_activations_write_a_tensor_of_their_own():
    one, other = (
        operators(nn.Sequential(nn.Conv2d(1, 4, 1), nn.Hardswish(inplace=inplace)), (1, 4, 4))
        for inplace in (False, True)
    )
    assert one == other
    assert one.peak() == (128, "hardswish")


def test_squeeze_and_excitation_keeps_its_input():
    from timm.layers import SqueezeExcite

    graph = operators(SqueezeExcite(16, rd_channels=8), (16, 8, 8))
    assert graph.operators[-1].reads[0] == 0
    assert graph.peak()[0] == 2 * 16 * 64 + 16


def test_a_one_dimensional_convolution_has_height_one():
    graph = operators(nn.Sequential(nn.Flatten(2), nn.Conv1d(4, 8, 5)), (4, 1, 16))
    assert graph.operators[-1].name == "convolution 1x5, 4 to 8 channels"
    assert graph.footprint().work.convolution == 5 * 4 * 8 * 12


def test_padded_copies_are_counted_on_demand():
    layer = nn.Conv2d(4, 4, 3, stride=2, padding=1)
    assert [each.name for each in operators(layer, (4, 9, 9), padded_copies=True).operators] == [
        "convolution 3x3, 4 to 4 channels"
    ]
    padded = operators(layer, (4, 8, 8), padded_copies=True)
    assert padded.operators[0].name == "padding"
    assert padded.peak()[0] == 4 * 64 + 4 * 100
    assert operators(layer, (4, 8, 8)).peak()[0] == 4 * 64 + 4 * 16


def test_parallel_branches_run_in_the_order_that_needs_the_least_memory():
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.early, self.wide = nn.Conv2d(2, 8, 1), nn.Conv2d(2, 64, 1)
            self.back = nn.Conv2d(64, 2, 1)

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            """Return the outputs of two branches; the one that needs less memory comes first."""
            early = self.early(features)
            return torch.cat([early, self.back(self.wide(features))], 1)

    graph = operators(Branches(), (2, 4, 4))
    assert graph.best_order() == (1, 2, 0, 3)
    assert max(graph.bytes_alive((0, 1, 2, 3))) == 16 * (2 + 8 + 64)
    assert graph.peak()[0] == 16 * (2 + 64 + 2)
