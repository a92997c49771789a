"""Sizes, strides and costs of the backbones of `elastic-1d`, networks of one-dimensional convolutions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from edanas.core.errors import CandidateError
from edanas.core.kernel_reach import Reach, reach
from edanas.core.types import Backbone, SegmentCost, Task, Variable
from edanas.supernets.layer_costs import Count, segment_cost
from edanas.supernets.mobile_space import shrunk
from edanas.supernets.option_checks import distinct_widths

STAGES = 5
"""Number of stages."""

MULTIPLE = 4
"""Numbers of channels are multiples of this number, so that small series can have small networks."""

SHORTEST = 4
"""Smallest length of the last stage's features at which another halving is allowed."""

SQUEEZE_REDUCTION = 4
"""Ratio of the channels to the inner channels of squeeze-and-excitation."""

_HALVINGS = (0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0)
"""Order in which the stem (0) and the stages (1 to 4) halve the features; early layers come first."""


def rounded(base: float, width: float = 1.0) -> int:
    """Return `base * width` channels, rounded to the nearest multiple of 4, and at least 4.

    Example:
        >>> rounded(24, 0.5), rounded(16, 0.1)
        (12, 4)
    """
    return max(MULTIPLE, int(base * width / MULTIPLE + 0.5) * MULTIPLE)


def strides_for(lengths: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """Return the strides of the stem and of the five stages for series of some lengths.

    Features are halved as long as those of the longest series keep a length of 4 or more after the last
    stage, up to eleven times. The stem and the early stages halve first, which makes first exits cheap.

    Args:
        lengths: The lengths of the input series, one or more.

    Example:
        >>> strides_for([206]), strides_for([8]), strides_for([16_000])
        ((2, (2, 2, 2, 2, 1)), (2, (1, 1, 1, 1, 1)), (8, (4, 4, 4, 4, 1)))
    """
    halvings = 0
    while halvings < len(_HALVINGS) and max(lengths) >> (halvings + 1) >= SHORTEST:
        halvings += 1
    strides = [2 ** _HALVINGS[:halvings].count(at) for at in range(STAGES)]
    return strides[0], (*strides[1:], 1)


@dataclass(frozen=True)
class BlockPlan:
    """The sizes of an inverted residual block with a depthwise convolution along the series.

    Args:
        in_channels: Number of input channels.
        mid_channels: Number of channels of the depthwise convolution.
        out_channels: Number of output channels.
        kernel: Length of the depthwise kernel, odd.
        stride: Stride of the depthwise convolution.
        squeeze: True if the block has squeeze-and-excitation.
        length: Length of the block's input.
    """

    in_channels: int
    mid_channels: int
    out_channels: int
    kernel: int
    stride: int
    squeeze: bool
    length: int

    @property
    def reach(self) -> Reach:
        """The weights of the kernel that reach the features; the backbone has only these."""
        return reach(self.length, self.kernel, self.stride, self.kernel // 2)

    @property
    def residual(self) -> bool:
        """True if the input is added to the output."""
        return self.stride == 1 and self.in_channels == self.out_channels

    @property
    def inner(self) -> int:
        """Number of inner channels of squeeze-and-excitation."""
        return rounded(self.mid_channels / SQUEEZE_REDUCTION)


@dataclass(frozen=True)
class SeriesPlan:
    """The sizes of a backbone.

    Args:
        length: Length of the input series.
        stem: Number of output channels of the first convolution, which belongs to stage 1.
        stages: The blocks of each stage.
    """

    length: int
    stem: int
    stages: tuple[tuple[BlockPlan, ...], ...]

    @property
    def features(self) -> int:
        """Number of features that the classifier reads."""
        return self.stages[-1][-1].out_channels


@dataclass(frozen=True)
class SeriesSpace:
    """A search space of networks for series; `Elastic1dProvider` describes the fields."""

    lengths: tuple[int, ...]
    widths: tuple[float, ...]
    depths: tuple[int, ...]
    kernels: tuple[int, ...]
    expansions: tuple[float, ...]
    channels: tuple[int, ...]
    stem_kernel: int
    stem_stride: int
    stage_strides: tuple[int, ...]
    squeeze: tuple[bool, ...]
    masked: bool
    dropout: float

    def variables(self) -> tuple[Variable, ...]:
        """Return the length; width and depth of each stage; kernel and expansion of each layer."""
        return self._variables

    @cached_property
    def _variables(self) -> tuple[Variable, ...]:
        variables = [Variable("resolution", self.lengths)]
        for stage in range(1, STAGES + 1):
            name = f"stage{stage}"
            variables += [
                Variable(f"{name}.width", self._widths(stage - 1), stage=stage),
                Variable(f"{name}.depth", self.depths, stage=stage),
            ]
            for layer in range(1, self.depths[-1] + 1):
                deeper = frozenset(depth for depth in self.depths if depth >= layer)
                parent, when = (f"{name}.depth", deeper) if layer > self.depths[0] else (None, frozenset())
                for part, choices in (("kernel", self.kernels), ("expand", self.expansions)):
                    variables.append(Variable(f"{name}.layer{layer}.{part}", choices, parent, when, stage))
        return tuple(variables)

    def _widths(self, stage: int) -> tuple[float, ...]:
        """Return the widths that give stage number `stage`, from 0, different numbers of channels."""
        bases = (self.channels[stage], self.channels[0] * 0.75)[: 1 if stage else 2]
        return distinct_widths(self.widths, lambda width: tuple(rounded(base, width) for base in bases))

    def channels_of(self, stage: int) -> tuple[int, ...]:
        """Return the distinct numbers of output channels of stage number `stage`, from 0, ascending."""
        return tuple(sorted({rounded(self.channels[stage], width) for width in self.widths}))

    def plan(self, backbone: Backbone) -> SeriesPlan:
        """Return the sizes of a backbone.

        Raises:
            CandidateError: A choice is missing, or is not allowed in this space.
        """
        length = int(self._choice(backbone, "resolution", self.lengths))
        before, at, stages = 0, shrunk(length, self.stem_stride), []
        stem = 0
        for number, base in enumerate(self.channels):
            name = f"stage{number + 1}"
            width = self._choice(backbone, f"{name}.width", self.widths)
            after = rounded(base, width)
            if number == 0:
                before = stem = rounded(base * 0.75, width)
            blocks = []
            for layer in range(1, int(self._choice(backbone, f"{name}.depth", self.depths)) + 1):
                kernel = self._choice(backbone, f"{name}.layer{layer}.kernel", self.kernels)
                expand = self._choice(backbone, f"{name}.layer{layer}.expand", self.expansions)
                stride = self.stage_strides[number] if layer == 1 else 1
                blocks.append(
                    BlockPlan(
                        before,
                        rounded(before, expand),
                        after,
                        int(kernel),
                        stride,
                        self.squeeze[number],
                        at,
                    )
                )
                before, at = after, shrunk(at, stride)
            stages.append(tuple(blocks))
        return SeriesPlan(length, stem, tuple(stages))

    def largest(self) -> SeriesPlan:
        """Return the sizes of the largest backbone."""
        return self.plan(Backbone(tuple((v.name, v.choices[-1] or 0) for v in self.variables())))

    def _choice(self, backbone: Backbone, name: str, choices: Sequence[float]) -> float:
        if name not in backbone or backbone[name] not in choices:
            choice = dict(backbone.choices).get(name, "nothing")
            raise CandidateError(f"backbone: {name}: found {choice}; allowed: {tuple(choices)}")
        return backbone[name]

    def stem_reach(self, length: int) -> Reach:
        """Return the weights of the first kernel that reach series of a length."""
        return reach(length, self.stem_kernel, self.stem_stride, self.stem_kernel // 2)


def plan_costs(
    space: SeriesSpace, plan: SeriesPlan, task: Task
) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
    """Return the costs of each stage, and of the last exit.

    Args:
        space: The search space.
        plan: The sizes of the backbone.
        task: Number of channels of the series, and number of classes.
    """
    length, costs = shrunk(plan.length, space.stem_stride), []
    parts = [
        _convolution(task.in_channels * plan.stem, space.stem_reach(plan.length).size, plan.stem, length)
    ]
    for stage in plan.stages:
        for block in stage:
            after = shrunk(block.length, block.stride)
            if block.mid_channels != block.in_channels:
                parts.append(
                    _convolution(block.in_channels * block.mid_channels, 1, block.mid_channels, block.length)
                )
            parts.append(_convolution(block.mid_channels, block.reach.size, block.mid_channels, after))
            if block.squeeze:
                weights, biases = 2 * block.mid_channels * block.inner, block.mid_channels + block.inner
                parts.append(Count(weights, weights + biases, block.mid_channels, biases))
            parts.append(_convolution(block.mid_channels * block.out_channels, 1, block.out_channels, after))
            length = after
        costs.append(segment_cost(parts, (stage[-1].out_channels + space.masked, 1, length)))
        parts = []
    classes = task.num_classes
    last = Count(plan.features * classes, (plan.features + 1) * classes, classes, classes)
    return tuple(costs), segment_cost([last], (classes, 1, 1))


def _convolution(pairs: int, kernel: int, after: int, length: int) -> Count:
    """Return the cost of a convolution with BatchNorm and without bias.

    Args:
        pairs: Number of pairs of an input and an output channel with a kernel.
        kernel: Length of the kernel.
        after: Number of output channels.
        length: Length of the output.
    """
    weights = pairs * kernel
    return Count(weights * length, weights + 2 * after, after * length, after * length)
