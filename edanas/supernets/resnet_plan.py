"""Sizes and costs of the backbones in the once-for-all ResNet-50 space."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edanas.core.types import Choice, SegmentCost, Task
from edanas.supernets.layer_costs import Count, convolution, shrunk, total
from edanas.supernets.mobile_space import scaled

BASE_DEPTHS = (2, 2, 4, 2)
"""Least number of blocks of each stage."""
STAGE_WIDTHS = (256, 512, 1024, 2048)
"""Channels of each stage's output, at width 1."""
STAGES = len(STAGE_WIDTHS)


@dataclass(frozen=True)
class BottleneckPlan:
    """A bottleneck block of a backbone.

    Args:
        index: Index of the block in the supernet.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        expand: Ratio of the inner to the output channels.
        stride: Stride of the 3x3 convolution.
        first: Whether it is the first block of its stage.
    """

    index: int
    in_channels: int
    out_channels: int
    expand: Choice
    stride: int
    first: bool

    @property
    def mid_channels(self) -> int:
        """Channels of the 3x3 convolution."""
        return scaled(round(self.out_channels * self.expand), 1)


@dataclass(frozen=True)
class ResNetPlan:
    """The sizes of a backbone.

    Args:
        resolution: Side of the input images in pixels.
        inner: Channels inside the stem.
        stem: Channels of the stem's output.
        deep_stem: Whether the stem has three convolutions, not two.
        stages: The blocks of each stage.
    """

    resolution: int
    inner: int
    stem: int
    deep_stem: bool
    stages: tuple[tuple[BottleneckPlan, ...], ...]

    @property
    def features(self) -> int:
        """Channels of the classifier's input."""
        return self.stages[-1][-1].out_channels


def plan_costs(plan: ResNetPlan, stem_stride: int, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
    """Return the costs of the stages, and of the last exit."""
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
        costs.append(_segment(parts, (stage[-1].out_channels, side, side)))
        parts = []
    classes = task.num_classes
    last = Count(plan.features * classes, (plan.features + 1) * classes, classes, classes)
    return tuple(costs), _segment([last], (classes, 1, 1))


def _segment(parts: Sequence[Count], shape: tuple[int, int, int]) -> SegmentCost:
    cost = total(parts)
    return SegmentCost(cost.macs, cost.params, cost.activations, shape, cost.outputs)


def _block_costs(block: BottleneckPlan, side: int, after: int) -> Iterator[Count]:
    mid = block.mid_channels
    yield convolution(block.in_channels, mid, 1, side)
    yield convolution(mid, mid, 3, after)
    yield convolution(mid, block.out_channels, 1, after)
    if block.first:
        yield convolution(block.in_channels, block.out_channels, 1, after)
