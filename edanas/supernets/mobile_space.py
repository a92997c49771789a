"""Mobile networks of the once-for-all spaces: channels, strides and blocks of each backbone."""

from collections.abc import Mapping
from dataclasses import dataclass

from edanas.core.errors import CandidateError
from edanas.core.types import Backbone, Choice, Variable


@dataclass(frozen=True)
class Family:
    """Properties that all backbones of one kind of mobile network share, at width 1.

    Args:
        stem: Channels of the first convolution.
        first: Channels of the first block, which has kernel 3 and expansion 1.
        widths: Channels of each elastic stage.
        activations: Activation of the blocks of each elastic stage; the first block has the first one.
        squeeze: Whether the blocks of each elastic stage have squeeze-and-excitation.
        outer: Activation of the first convolution and of the last exit.
        single: Whether the last elastic stage always has one block.
        epsilon: The number that BatchNorm adds to variances.
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


def scaled(base: int, multiplier: float) -> int:
    """Return `base x multiplier` channels, as MobileNet rounds them: a multiple of 8, at least 90% of it.

    Example:
        >>> scaled(24, 1.3), scaled(16, 0.1)
        (32, 8)
    """
    exact = base * multiplier
    channels = max(8, int(exact + 4) // 8 * 8)
    return channels + 8 if channels < 0.9 * exact else channels


@dataclass(frozen=True)
class BlockPlan:
    """An inverted residual block of a backbone: its index in the supernet, and its sizes."""

    index: int
    in_channels: int
    out_channels: int
    kernel: int
    expand: Choice
    stride: int
    activation: str
    squeeze: bool

    @property
    def residual(self) -> bool:
        """True if the block's input is added to its output."""
        return self.stride == 1 and self.in_channels == self.out_channels

    @property
    def mid_channels(self) -> int:
        """Channels of the depthwise convolution."""
        return scaled(round(self.in_channels * self.expand), 1)


@dataclass(frozen=True)
class NetPlan:
    """The sizes of a backbone.

    Args:
        resolution: Side of the input images in pixels.
        stem: Channels of the first convolution.
        stages: The blocks of each stage.
        final_expand: Channels of the last exit's 1x1 convolution before pooling; 0 = no such layer.
        last_width: Channels of the last exit's feature mix after pooling; 0 = no such layer.
    """

    resolution: int
    stem: int
    stages: tuple[tuple[BlockPlan, ...], ...]
    final_expand: int
    last_width: int

    @property
    def features(self) -> int:
        """Channels of the classifier's input."""
        return self.last_width or self.final_expand or self.stages[-1][-1].out_channels


@dataclass(frozen=True)
class MobileSpace:
    """A search space of mobile networks: a provider's options, checked, and the sizes of backbones."""

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
        """Return resolution, width, each stage's depth, and each layer's kernel and expansion."""
        variables = [Variable("resolution", self.resolutions), Variable("width", self.widths)]
        for stage in range(1, self.family.stages + 1):
            depth, depths = f"stage{stage}.depth", self.depths_of(stage - 1)
            variables.append(Variable(depth, depths))
            for layer in range(1, depths[-1] + 1):
                deep_enough = frozenset(d for d in depths if d >= layer)
                is_unconditional = len(deep_enough) == len(depths)
                for field, choices in (("kernel", self.kernels), ("expand", self.expansions)):
                    name = f"stage{stage}.layer{layer}.{field}"
                    parent = () if is_unconditional else (depth, deep_enough)
                    variables.append(Variable(name, choices, *parent))
        return tuple(variables)

    def depths_of(self, stage: int) -> tuple[int, ...]:
        """Return the allowed depths of an elastic stage, counted from 0."""
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
        stages = [[BlockPlan(0, stem, channels, 3, 1, 1, family.activations[0], squeeze=False)]]
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
                )
                blocks.append(block)
                channels = block.out_channels
        return NetPlan(
            resolution=int(chosen["resolution"]),
            stem=stem,
            stages=tuple(tuple(blocks) for blocks in stages),
            final_expand=scaled(self.final_expand, width) if self.final_expand else 0,
            last_width=scaled(self.last_width, width) if self.last_width else 0,
        )

    def largest(self) -> NetPlan:
        """Return the sizes of the largest backbone, with every block and all channels."""
        return self.plan(Backbone(tuple((v.name, v.choices[-1] or 0) for v in self.variables())))

    def _chosen(self, backbone: Backbone) -> Mapping[str, Choice]:
        chosen: dict[str, Choice] = {}
        for variable in self.variables():
            if variable.parent is not None and chosen[variable.parent] not in variable.when:
                continue
            if variable.name not in backbone:
                raise CandidateError(f"backbone without '{variable.name}'; allowed: {variable.choices}")
            value = backbone[variable.name]
            if value not in variable.choices:
                raise CandidateError(f"backbone with {variable.name} = {value}; allowed: {variable.choices}")
            chosen[variable.name] = value
        return chosen
