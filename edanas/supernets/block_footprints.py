"""Footprints on a microcontroller of the layers of mobile networks, counted without building them.

They equal those of `edanas.core.tracing`, which records built networks. Each distinct block is counted once.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from edanas.core.operator_graph import Footprint, in_sequence
from edanas.core.operator_layers import GraphBuilder, Shape
from edanas.core.types import SegmentCost
from edanas.supernets.mobile_space import BlockPlan, NetPlan, scaled, shrunk

_SQUEEZE_REDUCTION = 4
"""Ratio of the channels to the inner channels of squeeze-and-excitation."""

_INSIDE = ("relu", "relu6", "")
"""Activations that run inside the operator before them; empty for none."""

_OPERATORS = {"h_swish": "hardswish"}
"""Operators of activations with another name."""


class Layers(GraphBuilder):
    """Adds layers of square features to the last output, of which `shape` is channels, height and width.

    Args:
        channels: Number of channels of the input.
        side: Height and width of the input.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__(channels * side * side)
        self.shape: Shape = (channels, side, side)
        self.last = 0

    def conv(
        self,
        after: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        activation: str = "",
        groups: int = 1,
    ) -> int:
        """Add a square convolution and its activation, and return the output."""
        before, side = self.shape, (self.shape[1] + 2 * padding - kernel) // stride + 1
        self.shape = after, side, side
        pairs = (kernel, kernel), (stride, stride), (padding, padding)
        self.last = self.convolution(self.last, before, self.shape, *pairs, groups=groups)
        return self.activated(activation)

    def activated(self, activation: str) -> int:
        """Add an activation if it is an operator of its own, and return the output."""
        if activation not in _INSIDE:
            self.last = self.elementwise(_OPERATORS.get(activation, activation), self.last)
        return self.last

    def pool(self, side: int) -> int:
        """Add a pooling to features of a given side, and return them."""
        self.shape = self.shape[0], side, side
        self.last = self.pooling(self.last, self.shape[0] * side * side)
        return self.last

    def end(self) -> Footprint:
        """Return the footprint of all layers."""
        return self.footprint(self.last)


def with_footprint(cost: SegmentCost, parts: Iterable[Footprint]) -> SegmentCost:
    """Return the costs of a segment with the footprint of its parts, which run in sequence."""
    return replace(cost, footprint=in_sequence(parts))


@lru_cache(maxsize=1024)
def mobile_stem(in_channels: int, resolution: int, channels: int, stride: int, activation: str) -> Footprint:
    """Return the footprint of the first convolution of a mobile network."""
    layers = Layers(in_channels, resolution)
    layers.conv(channels, 3, stride, 1, activation)
    return layers.end()


@lru_cache(maxsize=8192)
def mobile_block(plan: BlockPlan) -> Footprint:
    """Return the footprint of an inverted residual block."""
    layers, inner, kernel = Layers(plan.in_channels, plan.side), plan.mid_channels, plan.reach
    if plan.expand != 1:
        layers.conv(inner, 1, activation=plan.activation)
    features = layers.conv(inner, kernel.size, plan.stride, kernel.padding, plan.activation, groups=inner)
    if plan.squeeze:
        shape = layers.shape
        # The mean over the width, then over the height.
        layers.last = layers.pooling(features, inner * shape[1])
        layers.pool(1)
        layers.conv(scaled(inner // _SQUEEZE_REDUCTION, 1), 1, activation="relu")
        gate = layers.conv(inner, 1, activation="hardsigmoid")
        layers.last, layers.shape = layers.elementwise("mul", features, gate), shape
    result = layers.conv(plan.out_channels, 1)
    if plan.residual:
        layers.last = layers.elementwise("add", 0, result)
    return layers.end()


@lru_cache(maxsize=1024)
def mobile_last_exit(plan: NetPlan, activation: str, classes: int) -> Footprint:
    """Return the footprint of the last exit of a mobile network; `activation` is that of its convolutions."""
    block = plan.stages[-1][-1]
    layers = Layers(block.out_channels, shrunk(block.side, block.stride))
    if plan.final_expand:
        layers.conv(plan.final_expand, 1, activation=activation)
    layers.pool(1)
    if plan.last_width:
        layers.conv(plan.last_width, 1, activation=activation)
    layers.last = layers.linear(layers.last, plan.features, classes)
    return layers.end()
