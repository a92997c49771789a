"""Sizes and costs of the backbones in the ResNet-50 search space of Once-for-All."""

from collections.abc import Iterator
from dataclasses import dataclass

from edanas.core.types import Choice, SegmentCost, Task
from edanas.supernets.layer_costs import Count, convolution, segment_cost
from edanas.supernets.mobile_space import scaled, shrunk

BASE_DEPTHS = (2, 2, 4, 2)
"""Smallest number of blocks in each stage."""

STAGE_WIDTHS = (256, 512, 1024, 2048)
"""Number of output channels of each stage, at width 1."""

STAGES = len(STAGE_WIDTHS)
"""Number of stages."""


@dataclass(frozen=True)
class BottleneckPlan:
    """The sizes of a bottleneck block.

    Args:
        index: Index of the block in the supernet, from 0.
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        expand: Ratio of the inner channels to the output channels.
        stride: Stride of the 3x3 convolution.
        first: True for the first block of a stage, whose shortcut has a convolution.
    """

    index: int
    in_channels: int
    out_channels: int
    expand: Choice
    stride: int
    first: bool

    @property
    def mid_channels(self) -> int:
        """Number of inner channels, on which the 3x3 convolution runs."""
        return scaled(round(self.out_channels * self.expand), 1)


@dataclass(frozen=True)
class ResNetPlan:
    """The sizes of a backbone.

    Args:
        resolution: Side of the input images in pixels.
        inner: Number of channels between the convolutions of the stem.
        stem: Number of output channels of the stem.
        deep_stem: True if the stem has three convolutions, False if it has two.
        stages: The blocks of each stage.
    """

    resolution: int
    inner: int
    stem: int
    deep_stem: bool
    stages: tuple[tuple[BottleneckPlan, ...], ...]

    @property
    def features(self) -> int:
        """Number of features that the classifier reads."""
        return self.stages[-1][-1].out_channels


def plan_costs(plan: ResNetPlan, stem_stride: int, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
    """Return the costs of each stage, and of the last exit.

    Args:
        plan: The sizes of the backbone.
        stem_stride: Stride of the first convolution.
        task: Number of channels of the images, and number of classes.
    """
    side = shrunk(plan.resolution, stem_stride)
    parts = [convolution(task.in_channels, plan.inner, 3, side)]
    if plan.deep_stem:
        parts.append(convolution(plan.inner, plan.inner, 3, side))
    parts.append(convolution(plan.inner, plan.stem, 3, side))
    side, costs = shrunk(side, 2), []
    for stage in plan.stages:
        for block in stage:
            after = shrunk(side, block.stride)
            parts += _block_costs(block, side, after)
            side = after
        costs.append(segment_cost(parts, (stage[-1].out_channels, side, side)))
        parts = []
    classes = task.num_classes
    last = Count(plan.features * classes, (plan.features + 1) * classes, classes, classes)
    return tuple(costs), segment_cost([last], (classes, 1, 1))


def _block_costs(block: BottleneckPlan, side: int, after: int) -> Iterator[Count]:
    mid = block.mid_channels
    yield convolution(block.in_channels, mid, 1, side)
    yield convolution(mid, mid, 3, after)
    yield convolution(mid, block.out_channels, 1, after)
    if block.first:
        yield convolution(block.in_channels, block.out_channels, 1, after)
