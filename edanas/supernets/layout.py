"""The shape of every MobileNetV3 in the once-for-all space: channels, strides, blocks, by backbone."""

from collections.abc import Mapping
from dataclasses import dataclass

from edanas.core.errors import CandidateError
from edanas.core.types import Backbone, Choice, Variable

STEM_WIDTH, FIRST_WIDTH = 16, 16
STAGE_WIDTHS = (24, 40, 80, 112, 160)
ACTIVATIONS = ("relu", "relu", "h_swish", "h_swish", "h_swish")
SQUEEZE = (False, True, False, True, True)
STAGES = len(STAGE_WIDTHS)


def scaled(base: int, multiplier: float) -> int:
    """`base x multiplier` channels as MobileNet rounds them: a multiple of 8, at least 90% of the product."""
    exact = base * multiplier
    channels = max(8, int(exact + 4) // 8 * 8)
    return channels + 8 if channels < 0.9 * exact else channels


@dataclass(frozen=True)
class BlockPlan:
    """One inverted-residual block of a backbone: its position among the supernet's blocks, and its sizes."""

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
        """Whether the block's input is added to its output."""
        return self.stride == 1 and self.in_channels == self.out_channels

    @property
    def mid_channels(self) -> int:
        """Channels of the depthwise convolution."""
        return scaled(round(self.in_channels * self.expand), 1)


@dataclass(frozen=True)
class NetPlan:
    """One backbone in sizes: resolution in pixels, the stem's channels, blocks by stage, the last exit's.

    `final_expand` and `last_width` are 0 where the last exit has no such layer.
    """

    resolution: int
    stem: int
    stages: tuple[tuple[BlockPlan, ...], ...]
    final_expand: int
    last_width: int

    @property
    def features(self) -> int:
        """Channels that the classifier reads."""
        return self.last_width or self.final_expand or self.stages[-1][-1].out_channels


@dataclass(frozen=True)
class Layout:
    """The options of `OFAMobileNetV3Provider`, checked, and what follows from them without any weights."""

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
        """Resolution, width, and for each stage its depth and each layer's kernel and expansion."""
        found = [Variable("resolution", self.resolutions), Variable("width", self.widths)]
        for stage in range(1, STAGES + 1):
            depth = f"stage{stage}.depth"
            found.append(Variable(depth, self.depths))
            for layer in range(1, self.depths[-1] + 1):
                when = frozenset(d for d in self.depths if d >= layer)
                always = len(when) == len(self.depths)
                for field, choices in (("kernel", self.kernels), ("expand", self.expansions)):
                    name = f"stage{stage}.layer{layer}.{field}"
                    found.append(Variable(name, choices) if always else Variable(name, choices, depth, when))
        return tuple(found)

    def plan(self, backbone: Backbone) -> NetPlan:
        """The sizes of one backbone.

        Raises:
            CandidateError: A choice is missing or is none of this space's.
        """
        chosen = self._chosen(backbone)
        width = float(chosen["width"])
        stem, channels = scaled(STEM_WIDTH, width), scaled(FIRST_WIDTH, width)
        stages = [[BlockPlan(0, stem, channels, 3, 1, 1, "relu", squeeze=False)]]
        for stage in range(STAGES):
            blocks = stages[-1] if stage == 0 else []
            if stage:
                stages.append(blocks)
            for layer in range(int(chosen[f"stage{stage + 1}.depth"])):
                prefix = f"stage{stage + 1}.layer{layer + 1}"
                block = BlockPlan(
                    index=1 + stage * self.depths[-1] + layer,
                    in_channels=channels,
                    out_channels=scaled(STAGE_WIDTHS[stage], width),
                    kernel=int(chosen[f"{prefix}.kernel"]),
                    expand=chosen[f"{prefix}.expand"],
                    stride=self.stage_strides[stage] if layer == 0 else 1,
                    activation=ACTIVATIONS[stage],
                    squeeze=SQUEEZE[stage],
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
        """The sizes of the backbone with the last choice everywhere: every block, all channels."""
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
