"""Sizes, strides and costs of the backbones of `elastic-resnet`, which consist of dense 3x3 convolutions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from edanas.core.errors import CandidateError
from edanas.core.kernel_reach import Reach, reach
from edanas.core.types import Backbone, SegmentCost, Task, Variable
from edanas.supernets.layer_costs import Count, convolution, segment_cost
from edanas.supernets.mobile_space import shrunk
from edanas.supernets.option_checks import distinct_widths
from edanas.supernets.whitening import filters_of, patch_side

STAGES = 5
"""Number of stages."""

MULTIPLE = 4
"""Numbers of channels are multiples of this number, so that small images can have small networks."""

SMALLEST_MAP, LARGEST_MAP = 2, 4
"""Smallest side of the last stage's features, and the largest side that default strides aim at, in pixels."""

_HALVING_STAGES = ((), (1,), (1, 2), (1, 2, 4), (1, 2, 3, 4), (1, 2, 3, 4, 5))
"""Stages with stride 2, counted from 1, for each number of them.

The first two stages come first, since that makes the first exits cheap.
"""


def rounded(base: int, width: float) -> int:
    """Return `base * width` channels, rounded to the nearest multiple of 4, and at least 4.

    Args:
        base: Number of channels at width 1.
        width: The width.

    Example:
        >>> rounded(32, 0.5), rounded(16, 0.1)
        (16, 4)
    """
    return max(MULTIPLE, int(base * width / MULTIPLE + 0.5) * MULTIPLE)


def strides_for(sides: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """Return the strides of the stem and of the five stages for images of some sides.

    Features are halved until those of the largest images are at most 4 pixels wide, but at least twice.
    Those of the smallest images stay at least 2 pixels wide. The stem has stride 1 if the stages can do this
    with at most three strides of 2, as for images of up to 32 pixels.

    Args:
        sides: The sides of the images in pixels, one or more, each 4 or more.

    Example:
        >>> strides_for([8]), strides_for([16, 32])
        ((1, (2, 2, 1, 1, 1)), (1, (2, 2, 1, 2, 1)))
    """
    halvings = 2
    while shrunk(max(sides), 2**halvings) > LARGEST_MAP:
        halvings += 1
    while shrunk(min(sides), 2**halvings) < SMALLEST_MAP:
        halvings -= 1
    stem_stride = 1 if halvings <= 3 else min(4, 2 ** max(1, halvings - STAGES))
    in_stages = min(STAGES, halvings - (stem_stride.bit_length() - 1))
    halved = _HALVING_STAGES[in_stages]
    return stem_stride, tuple(2 if stage in halved else 1 for stage in range(1, STAGES + 1))


@dataclass(frozen=True)
class DenseBlockPlan:
    """The sizes of a block: a convolution with BatchNorm, a shortcut, and an activation.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        stride: Stride of the convolution.
        shortcut: `none` for the stem, and for the first block of a stage with max-pooling. `projected` for
            the first block of a stage without: average pooling, and a 1x1 convolution with BatchNorm.
            `identity` for all other blocks.
        side: Height and width of the block's input.
        pool: Stride and side of the max-pooling before BatchNorm; 1, the default, for none.
        activation: Name of the activation, as in `ACTIVATIONS` of `edanas.supernets.elastic_dense`.
        whitened: True for a whitened stem; false, the default, for a 3x3 convolution.
    """

    in_channels: int
    out_channels: int
    stride: int
    shortcut: Literal["none", "projected", "identity"]
    side: int
    pool: int = 1
    activation: str = "relu"
    whitened: bool = False

    @property
    def kernel(self) -> int:
        """Side of the kernel."""
        return patch_side(self.stride) if self.whitened else 3

    @property
    def padding(self) -> int:
        """Number of zeros on each end of the features."""
        return self.stride // 2 if self.whitened else 1

    @property
    def reach(self) -> Reach:
        """The weights of the kernel that reach the features; the backbone has only these."""
        return reach(self.side, self.kernel, self.stride, self.padding)

    @property
    def conv_side(self) -> int:
        """Height and width of the convolution's output."""
        return (self.side + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def out_side(self) -> int:
        """Height and width of the block's output."""
        return shrunk(self.conv_side, self.pool)

    def costs(self) -> list[Count]:
        """Return the costs of the convolutions."""
        side = self.conv_side
        costs = [convolution(self.in_channels, self.out_channels, self.reach.size, side)]
        if self.shortcut == "projected":
            costs.append(convolution(self.in_channels, self.out_channels, 1, side))
        return costs


@dataclass(frozen=True)
class DensePlan:
    """The sizes of a backbone.

    Args:
        resolution: Side of the input images in pixels.
        stem: The first convolution, which belongs to stage 1.
        stages: The blocks of each stage.
    """

    resolution: int
    stem: DenseBlockPlan
    stages: tuple[tuple[DenseBlockPlan, ...], ...]

    @property
    def features(self) -> int:
        """Number of features that the classifier reads."""
        return self.stages[-1][-1].out_channels


@dataclass(frozen=True)
class DenseSpace:
    """A search space of dense networks; `ElasticResNetProvider` describes the fields.

    Args:
        widths: Choices of the width of a stage, ascending.
        resolutions: Choices of the side of the input images in pixels, ascending.
        depths: Choices of the number of convolutions of a stage, ascending.
        channels: Number of output channels of each stage at width 1.
        stem_stride: Stride of the first convolution.
        stage_strides: Stride of each stage.
        dropout: Share of the classifier's input features that is dropped in training.
        downsampling: `strided` or `pooled`.
        activation: Name of the activation.
        stem: `convolution` or `whitened`.
        pooling: Global pooling before the last layer: `average` or `max`.
    """

    widths: tuple[float, ...]
    resolutions: tuple[int, ...]
    depths: tuple[int, ...]
    channels: tuple[int, ...]
    stem_stride: int
    stage_strides: tuple[int, ...]
    dropout: float
    downsampling: str = "strided"
    activation: str = "relu"
    stem: str = "convolution"
    pooling: str = "average"

    def variables(self) -> tuple[Variable, ...]:
        """Return the resolution, and the width and depth of each stage."""
        return self._variables

    @cached_property
    def _variables(self) -> tuple[Variable, ...]:
        variables = [Variable("resolution", self.resolutions)]
        for stage in range(1, STAGES + 1):
            variables += [
                Variable(f"stage{stage}.width", self._widths(stage - 1), stage=stage),
                Variable(f"stage{stage}.depth", self.depths, stage=stage),
            ]
        return tuple(variables)

    def _widths(self, stage: int) -> tuple[float, ...]:
        """Return the widths that give stage number `stage`, from 0, different numbers of channels."""
        has_stem = stage == 0 and self.stem == "convolution"
        bases = (self.channels[stage], self.channels[0] // 2)[: 2 if has_stem else 1]
        return distinct_widths(self.widths, lambda width: tuple(rounded(base, width) for base in bases))

    def channels_of(self, stage: int) -> tuple[int, ...]:
        """Return the distinct numbers of output channels of stage number `stage`, from 0, ascending."""
        return tuple(sorted({rounded(self.channels[stage], width) for width in self.widths}))

    def plan(self, backbone: Backbone, in_channels: int) -> DensePlan:
        """Return the sizes of a backbone, for images with a number of channels.

        Raises:
            CandidateError: A choice is missing, or is not allowed in this space.
        """
        for variable in self.variables():
            if variable.name not in backbone or backbone[variable.name] not in variable.choices:
                choice = dict(backbone.choices).get(variable.name, "nothing")
                raise CandidateError(
                    f"backbone: {variable.name}: found {choice}; allowed: {variable.choices}"
                )
        widths = [float(backbone[f"stage{stage}.width"]) for stage in range(1, STAGES + 1)]
        stem = self._stem(in_channels, int(backbone["resolution"]), rounded(self.channels[0] // 2, widths[0]))
        channels = [rounded(base, width) for base, width in zip(self.channels, widths, strict=True)]
        depths = [int(backbone[f"stage{stage}.depth"]) for stage in range(1, STAGES + 1)]
        return DensePlan(stem.side, stem, self._planned(stem, channels, depths))

    def largest(self, in_channels: int) -> DensePlan:
        """Return the sizes of the largest backbone."""
        largest = Backbone(tuple((v.name, v.choices[-1] or 0) for v in self.variables()))
        return self.plan(largest, in_channels)

    def _stem(self, in_channels: int, side: int, channels: int) -> DenseBlockPlan:
        """Return the sizes of the first convolution; a whitened one has a fixed number of channels."""
        whitened = self.stem == "whitened"
        after = filters_of(in_channels) if whitened else channels
        return DenseBlockPlan(
            in_channels, after, self.stem_stride, "none", side, 1, self.activation, whitened
        )

    def _planned(
        self, stem: DenseBlockPlan, channels: list[int], depths: list[int]
    ) -> tuple[tuple[DenseBlockPlan, ...], ...]:
        stages, before, side = [], stem.out_channels, stem.out_side
        for after, depth, stride in zip(channels, depths, self.stage_strides, strict=True):
            first = self._first(before, after, stride, side)
            side = first.out_side
            later = DenseBlockPlan(after, after, 1, "identity", side, 1, self.activation)
            stages.append((first, *[later] * (depth - 1)))
            before = after
        return tuple(stages)

    def _first(self, before: int, after: int, stride: int, side: int) -> DenseBlockPlan:
        """Return the sizes of the first block of a stage."""
        if self.downsampling == "pooled":
            return DenseBlockPlan(before, after, 1, "none", side, stride, self.activation)
        return DenseBlockPlan(before, after, stride, "projected", side, 1, self.activation)


def plan_costs(plan: DensePlan, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
    """Return the costs of each stage, and of the last exit.

    Args:
        plan: The sizes of the backbone.
        task: Number of channels of the images, and number of classes.
    """
    costs, parts = [], plan.stem.costs()
    for stage in plan.stages:
        parts += [count for block in stage for count in block.costs()]
        side = stage[-1].out_side
        costs.append(segment_cost(parts, (stage[-1].out_channels, side, side)))
        parts = []
    classes = task.num_classes
    last = Count(plan.features * classes, (plan.features + 1) * classes, classes, classes)
    return tuple(costs), segment_cost([last], (classes, 1, 1))
