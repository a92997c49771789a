"""Search spaces of once-for-all mobile networks, and the sizes of their backbones' layers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from edanas.core.errors import CandidateError
from edanas.core.kernel_reach import Reach, reach
from edanas.core.types import Backbone, Choice, Variable
from edanas.supernets.option_checks import distinct_widths


@dataclass(frozen=True)
class Family:
    """Properties that all backbones of one kind of mobile network share. Channels are given at width 1.

    Args:
        stem: Number of output channels of the first convolution.
        first: Number of output channels of the first block, which has kernel 3 and expansion 1.
        widths: Number of output channels of each elastic stage.
        activations: Name of the activation in each elastic stage. The first block has the first activation.
        squeeze: For each elastic stage, True if its blocks have squeeze-and-excitation.
        outer: Name of the activation in the first convolution and the last exit.
        single: True if the last elastic stage always has one block.
        epsilon: Number that BatchNorm adds to variances.
    """

    stem: int
    first: int
    widths: tuple[int, ...]
    activations: tuple[str, ...]
    squeeze: tuple[bool, ...]
    outer: str
    single: bool = False
    epsilon: float = 1e-5

    @property
    def stages(self) -> int:
        """Number of elastic stages."""
        return len(self.widths)


MOBILENET_V3 = Family(
    stem=16,
    first=16,
    widths=(24, 40, 80, 112, 160),
    activations=("relu", "relu", "h_swish", "h_swish", "h_swish"),
    squeeze=(False, True, False, True, True),
    outer="h_swish",
)
"""MobileNetV3, as in Once-for-All (Cai et al., ICLR 2020)."""

MINIMALISTIC = replace(
    MOBILENET_V3, activations=("relu",) * 5, squeeze=(False,) * len(MOBILENET_V3.widths), outer="relu"
)
"""MobileNetV3 without squeeze-and-excitation and hard swish, a form that its authors publish."""

PROXYLESS = Family(
    stem=32,
    first=16,
    widths=(24, 40, 80, 96, 192, 320),
    activations=("relu6",) * 6,
    squeeze=(False,) * 6,
    outer="relu6",
    single=True,
    epsilon=1e-3,
)
"""ProxylessNAS, as in Once-for-All (Cai et al., ICLR 2020)."""


def scaled(base: int, multiplier: float) -> int:
    """Return the number of channels `base * multiplier`, rounded as in MobileNet.

    The result is a multiple of 8, at least 8, and at least 90% of the exact number.

    Args:
        base: Number of channels at width 1.
        multiplier: The width.

    Example:
        >>> scaled(24, 1.3), scaled(16, 0.1)
        (32, 8)
    """
    exact = base * multiplier
    channels = max(8, int(exact + 4) // 8 * 8)
    return channels + 8 if channels < 0.9 * exact else channels


@dataclass(frozen=True)
class BlockPlan:
    """The sizes of an inverted residual block.

    Args:
        index: Index of the block in the supernet, from 0.
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel: Kernel size of the depthwise convolution.
        expand: Ratio of the inner channels to the input channels.
        stride: Stride of the depthwise convolution.
        activation: Name of the activation.
        squeeze: True if the block has squeeze-and-excitation.
        side: Height and width of the block's input.
    """

    index: int
    in_channels: int
    out_channels: int
    kernel: int
    expand: Choice
    stride: int
    activation: str
    squeeze: bool
    side: int

    @property
    def residual(self) -> bool:
        """True if the block's input is added to its output."""
        return self.stride == 1 and self.in_channels == self.out_channels

    @property
    def reach(self) -> Reach:
        """The weights of the depthwise kernel that reach the features; the backbone has only these."""
        return reach(self.side, self.kernel, self.stride, self.kernel // 2)

    @property
    def mid_channels(self) -> int:
        """Number of inner channels, on which the depthwise convolution runs."""
        return scaled(round(self.in_channels * self.expand), 1)


@dataclass(frozen=True)
class NetPlan:
    """The sizes of a backbone.

    Args:
        resolution: Side of the input images in pixels.
        stem: Number of output channels of the first convolution.
        stages: The blocks of each stage.
        final_expand: Number of channels of the last exit's 1x1 convolution before pooling; 0 if there is no
            convolution.
        last_width: Number of channels of the last exit's feature mix after pooling; 0 if there is no feature
            mix.
    """

    resolution: int
    stem: int
    stages: tuple[tuple[BlockPlan, ...], ...]
    final_expand: int
    last_width: int

    @property
    def features(self) -> int:
        """Number of features that the classifier reads."""
        return self.last_width or self.final_expand or self.stages[-1][-1].out_channels


@dataclass(frozen=True)
class MobileSpace:
    """A search space of mobile networks.

    `edanas.supernets.ofa_mobile.checked_space` builds it from the options of a provider, after a check.

    Args:
        family: Properties that all backbones share.
        widths: Choices of the width multiplier, ascending.
        resolutions: Choices of the side of the input images, in pixels, ascending.
        depths: Choices of the number of layers in an elastic stage, ascending.
        kernels: Choices of the kernel size of depthwise convolutions, ascending.
        expansions: Choices of the ratio of a layer's inner channels to its input channels, ascending.
        stem_stride: Stride of the first convolution.
        stage_strides: Stride of each elastic stage.
        dropout: Share of the classifier's input features that is dropped in training.
        final_expand: Number of channels, at width 1, of the last 1x1 convolution before pooling; 0 omits the
            convolution.
        last_width: Number of channels, at width 1, of the feature mix after pooling; 0 omits the feature mix.
    """

    family: Family
    widths: tuple[float, ...]
    resolutions: tuple[int, ...]
    depths: tuple[int, ...]
    kernels: tuple[int, ...]
    expansions: tuple[Choice, ...]
    stem_stride: int
    stage_strides: tuple[int, ...]
    dropout: float
    final_expand: int
    last_width: int

    def variables(self) -> tuple[Variable, ...]:
        """Return resolution, width, the depth of each stage, and kernel and expansion of each layer."""
        return self._variables

    @cached_property
    def _variables(self) -> tuple[Variable, ...]:
        widths = distinct_widths(self.widths, self._channels)
        variables = [Variable("resolution", self.resolutions), Variable("width", widths)]
        for stage in range(1, self.family.stages + 1):
            depth, depths = f"stage{stage}.depth", self.depths_of(stage - 1)
            variables.append(Variable(depth, depths, stage=stage))
            for layer in range(1, depths[-1] + 1):
                deep_enough = frozenset(d for d in depths if d >= layer)
                is_unconditional = len(deep_enough) == len(depths)
                for field, choices in (("kernel", self.kernels), ("expand", self.expansions)):
                    name = f"stage{stage}.layer{layer}.{field}"
                    if is_unconditional:
                        variables.append(Variable(name, choices, stage=stage))
                    else:
                        variables.append(Variable(name, choices, depth, deep_enough, stage))
        return tuple(variables)

    def _channels(self, width: float) -> tuple[int, ...]:
        """Return all numbers of channels that depend on the width."""
        family = self.family
        bases = (family.stem, family.first, *family.widths, self.final_expand, self.last_width)
        return tuple(scaled(base, width) for base in bases if base)

    def depths_of(self, stage: int) -> tuple[int, ...]:
        """Return the choices of the depth of elastic stage number `stage`, counted from 0."""
        return (1,) if self.family.single and stage == self.family.stages - 1 else self.depths

    def plan(self, backbone: Backbone) -> NetPlan:
        """Return the sizes of a backbone.

        Raises:
            CandidateError: A choice is missing, or is not allowed in this space.
        """
        chosen = self._chosen(backbone)
        width = float(chosen["width"])
        family = self.family
        stem, channels = scaled(family.stem, width), scaled(family.first, width)
        side = shrunk(int(chosen["resolution"]), self.stem_stride)
        first = BlockPlan(0, stem, channels, 3, 1, 1, family.activations[0], squeeze=False, side=side)
        stages = [[first]]
        for stage in range(family.stages):
            blocks = stages[-1] if stage == 0 else []
            if stage:
                stages.append(blocks)
            for layer in range(int(chosen[f"stage{stage + 1}.depth"])):
                prefix = f"stage{stage + 1}.layer{layer + 1}"
                block = BlockPlan(
                    index=1 + stage * self.depths[-1] + layer,
                    in_channels=channels,
                    out_channels=scaled(family.widths[stage], width),
                    kernel=int(chosen[f"{prefix}.kernel"]),
                    expand=chosen[f"{prefix}.expand"],
                    stride=self.stage_strides[stage] if layer == 0 else 1,
                    activation=family.activations[stage],
                    squeeze=family.squeeze[stage],
                    side=side,
                )
                blocks.append(block)
                channels, side = block.out_channels, shrunk(side, block.stride)
        return NetPlan(
            resolution=int(chosen["resolution"]),
            stem=stem,
            stages=tuple(tuple(blocks) for blocks in stages),
            final_expand=scaled(self.final_expand, width) if self.final_expand else 0,
            last_width=scaled(self.last_width, width) if self.last_width else 0,
        )

    def largest(self) -> NetPlan:
        """Return the sizes of the largest backbone, which has all blocks and all channels."""
        return self.plan(Backbone(tuple((v.name, v.choices[-1] or 0) for v in self.variables())))

    def _chosen(self, backbone: Backbone) -> Mapping[str, Choice]:
        chosen: dict[str, Choice] = {}
        for variable in self.variables():
            if variable.parent is not None and chosen[variable.parent] not in variable.when:
                continue
            if variable.name not in backbone:
                raise CandidateError(f"backbone: {variable.name}: found nothing; allowed: {variable.choices}")
            value = backbone[variable.name]
            if value not in variable.choices:
                raise CandidateError(f"backbone: {variable.name}: found {value}; allowed: {variable.choices}")
            chosen[variable.name] = value
        return chosen


def shrunk(side: int, stride: int) -> int:
    """Return the side of a convolution's output, for an input of `side` pixels.

    The kernel must be odd, and the padding must preserve the side at stride 1.
    """
    return (side - 1) // stride + 1
