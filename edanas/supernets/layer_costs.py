"""Costs of mobile networks of the once-for-all spaces, counted layer by layer without building a network.

The counts equal the counts of `edanas.core.costs`, which counts built networks.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from edanas.core.operator_graph import Footprint, in_sequence
from edanas.core.types import Backbone, Choice, SegmentCost, Task
from edanas.supernets.block_footprints import mobile_block, mobile_last_exit, mobile_stem
from edanas.supernets.mobile_space import BlockPlan, MobileSpace, NetPlan, scaled, shrunk

_SQUEEZE_REDUCTION = 4
"""Ratio of the channels to the inner channels of squeeze-and-excitation."""

_NORM = 2
"""Parameters of BatchNorm per channel."""

Shape = tuple[int, int, int]
"""Channels, height and width of features."""

_Layer = tuple[int, bool, Choice, Choice]
"""Key of a layer: stage, True for all layers after the first layer of the stage, kernel size, expansion."""


class LayerCosts:
    """Counts the costs of backbones, and stores the count of each distinct layer. Objects are picklable.

    Args:
        space: The search space of the backbones.
    """

    def __init__(self, space: MobileSpace) -> None:
        self._space = space
        self._known: dict[tuple[Task, Choice, Choice], _Known] = {}
        self._names = [
            (
                f"stage{stage}.depth",
                [
                    (f"stage{stage}.layer{n}.kernel", f"stage{stage}.layer{n}.expand")
                    for n in range(1, space.depths_of(stage - 1)[-1] + 1)
                ],
            )
            for stage in range(1, space.family.stages + 1)
        ]

    def __call__(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """Return the costs of each stage, and of the last exit.

        Args:
            backbone: The backbone.
            task: Number of channels of the images, and number of classes.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        try:
            known = self._known[task, backbone["resolution"], backbone["width"]]
            return self._stages(backbone, known), known.last
        except KeyError:
            # A layer has not been counted yet, or a choice is wrong: `plan` checks all choices.
            known = self._count_layers(self._space.plan(backbone), backbone, task)
            return self._stages(backbone, known), known.last

    def _stages(self, backbone: Backbone, known: "_Known") -> tuple[SegmentCost, ...]:
        costs = []
        layers = known.layers
        for stage, (depth_name, names) in enumerate(self._names):
            macs, params, activations, outputs = known.stem if stage == 0 else (0, 0, 0, 0)
            footprints = list(known.first) if stage == 0 else []
            depth = backbone[depth_name]
            if depth not in self._space.depths_of(stage):
                raise KeyError(depth_name)
            for layer in range(int(depth)):
                kernel, expand = names[layer]
                (layer_macs, layer_params, largest, layer_outputs), footprint = layers[
                    stage, layer > 0, backbone[kernel], backbone[expand]
                ]
                macs += layer_macs
                params += layer_params
                activations = max(activations, largest)
                outputs += layer_outputs
                footprints.append(footprint)
            joined = in_sequence(footprints)
            costs.append(SegmentCost(macs, params, activations, known.shapes[stage], outputs, joined))
        return tuple(costs)

    def _count_layers(self, plan: NetPlan, backbone: Backbone, task: Task) -> "_Known":
        """Count every layer of one backbone, and return the stored counts for its width and resolution."""
        side = shrunk(plan.resolution, self._space.stem_stride)
        stem = convolution(task.in_channels, plan.stem, 3, side)
        shape = (plan.stem, side, side)
        counts: list[Count] = []
        shapes: list[Shape] = []
        layers: dict[_Layer, tuple[Count, Footprint]] = {}
        outer = self._space.family.outer
        first = [mobile_stem(task.in_channels, plan.resolution, plan.stem, self._space.stem_stride, outer)]
        for stage, blocks in enumerate(plan.stages):
            for position, block in enumerate(blocks):
                cost, shape = block_cost(block, shape)
                layer = position - 1 if stage == 0 else position
                if layer < 0:
                    counts.append(cost)
                    first.append(mobile_block(block))
                    continue
                layers[stage, layer > 0, block.kernel, block.expand] = cost, mobile_block(block)
            shapes.append(shape)
        key = task, backbone["resolution"], backbone["width"]
        if key not in self._known:
            footprint = mobile_last_exit(plan, outer, task.num_classes)
            last = replace(_last_exit(plan, shape, task), footprint=footprint)
            self._known[key] = _Known(total([stem, *counts]), tuple(first), {}, tuple(shapes), last)
        self._known[key].layers.update(layers)
        return self._known[key]


class Count(NamedTuple):
    """Costs of layers: multiply-adds, parameters, elements of the largest and of all outputs."""

    macs: int
    params: int
    activations: int
    outputs: int


class _Known(NamedTuple):
    """Counts for one task, width and resolution: fixed layers, and elastic layers counted so far."""

    stem: Count
    first: tuple[Footprint, ...]
    layers: dict[_Layer, tuple[Count, Footprint]]
    shapes: tuple[Shape, ...]
    last: SegmentCost


def block_cost(block: BlockPlan, shape: Shape) -> tuple[Count, Shape]:
    """Return the cost and the output shape of an inverted residual block; `shape` is its input (C, H, W)."""
    channels, side, inner = shape[0], shape[1], block.mid_channels
    after = shrunk(side, block.stride)
    parts = [convolution(inner, inner, block.reach.size, after, groups=inner)]
    if block.expand != 1:
        parts.append(convolution(channels, inner, 1, side))
    if block.squeeze:
        parts.append(_squeeze(inner))
    parts.append(convolution(inner, block.out_channels, 1, after))
    return total(parts), (block.out_channels, after, after)


def convolution(before: int, after: int, kernel: int, side: int, groups: int = 1) -> Count:
    """Return the cost of a convolution with BatchNorm and without bias.

    Args:
        before: Number of input channels.
        after: Number of output channels.
        kernel: Side of the kernel.
        side: Side of the output, in pixels.
        groups: Number of groups; 1 by default.

    Example:
        >>> convolution(3, 16, kernel=3, side=16)
        Count(macs=110592, params=464, activations=4096, outputs=4096)
    """
    weights = kernel * kernel * before * after // groups
    outputs = after * side * side
    return Count(weights * side * side, weights + _NORM * after, outputs, outputs)


def _squeeze(channels: int) -> Count:
    """Return the cost of squeeze-and-excitation, two linear layers with bias on pooled features."""
    inner = scaled(channels // _SQUEEZE_REDUCTION, 1)
    weights = 2 * channels * inner
    return Count(weights, weights + inner + channels, max(channels, inner), inner + channels)


def _last_exit(plan: NetPlan, shape: Shape, task: Task) -> SegmentCost:
    """Return the cost of the last exit; its feature mix has neither BatchNorm nor bias."""
    channels, side, _ = shape
    parts = []
    if plan.final_expand:
        parts.append(convolution(channels, plan.final_expand, 1, side))
        channels = plan.final_expand
    if plan.last_width:
        weights = channels * plan.last_width
        parts.append(Count(weights, weights, plan.last_width, plan.last_width))
        channels = plan.last_width
    classes = task.num_classes
    parts.append(Count(channels * classes, (channels + 1) * classes, classes, classes))
    macs, params, activations, outputs = total(parts)
    return SegmentCost(macs, params, activations, (classes, 1, 1), outputs)


def total(parts: Iterable[Count]) -> Count:
    """Return the joint cost of layers that run in sequence."""
    macs, params, activations, outputs = zip(*parts, strict=True)
    return Count(sum(macs), sum(params), max(activations), sum(outputs))


def segment_cost(parts: Iterable[Count], shape: tuple[int, int, int]) -> SegmentCost:
    """Return the cost of layers in sequence; `shape` is (channels, height, width) of their output."""
    cost = total(parts)
    return SegmentCost(cost.macs, cost.params, cost.activations, shape, cost.outputs)
