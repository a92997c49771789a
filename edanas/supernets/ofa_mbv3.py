"""Supernet provider `ofa-mbv3`: the once-for-all MobileNetV3 space (Cai et al., ICLR 2020), in stages."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import StagedBackbone, Supernet, SupernetProvider
from edanas.core.errors import ConfigError, WeightsError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Backbone, SegmentCost, Task, Variable
from edanas.supernets.elastic import ElasticMobileNetV3, build_plain
from edanas.supernets.layer_costs import LayerCosts
from edanas.supernets.layout import STAGE_WIDTHS, STAGES, Layout, scaled
from edanas.supernets.ofa_weights import load
from edanas.supernets.options import choices, number, numbers, sides, stride, whole


class OFAMobileNetV3Provider(SupernetProvider):
    """MobileNetV3 with elastic depth, kernel, expansion, width and resolution: 5 stages, 4 exit points.

    Stage 1 is stem, first block and the first elastic stage; the ends of stages 1 to 4 are the exit points.
    Widths share weights by their first channels.

    Args:
        widths: Width multipliers; channels are rounded to multiples of 8.
        resolutions: Sides of the input images in pixels.
        depths: Layers in a stage.
        kernels: Sizes of the depthwise convolutions, odd.
        expansions: Ratios of a layer's inner to its input channels, larger than 1.
        stem_stride: Stride of the first convolution; 1 for images of 32 pixels and less.
        stage_strides: Stride of each of the 5 elastic stages.
        dropout: Share of the features dropped before the classifier, in training.
        final_expand: Channels of the last 1x1 convolution before pooling, at width 1; 0 = none.
        last_width: Channels of the feature mix after pooling, at width 1; 0 = none.

    Raises:
        ConfigError: An option is out of range.
    """

    exit_points = STAGES - 1

    def __init__(
        self,
        *,
        widths: tuple[float, ...] = (1.0,),
        resolutions: tuple[int, ...] = (224,),
        depths: tuple[int, ...] = (2, 3, 4),
        kernels: tuple[int, ...] = (3, 5, 7),
        expansions: tuple[float, ...] = (3, 4, 6),
        stem_stride: int = 2,
        stage_strides: tuple[int, ...] = (2, 2, 2, 1, 2),
        dropout: float = 0.0,
        final_expand: int = 960,
        last_width: int = 1280,
    ) -> None:
        strides = numbers("stage_strides", stage_strides, "whole numbers from 1 to 4", stride)
        if len(strides) != STAGES:
            raise ConfigError(
                f"supernet.stage_strides: {len(strides)} strides; allowed: {STAGES}, one a stage"
            )
        self.layout = Layout(
            widths=choices("widths", widths, "numbers from 0.1 to 4", lambda v: 0.1 <= v <= 4),
            resolutions=sides(resolutions),
            depths=choices("depths", depths, "whole numbers from 1 to 8", whole(1, 8)),
            kernels=choices(
                "kernels", kernels, "odd numbers from 1 to 15", lambda v: whole(1, 15)(v) and v % 2 == 1
            ),
            expansions=choices("expansions", expansions, "numbers above 1, to 12", lambda v: 1 < v <= 12),
            stem_stride=number("stem_stride", stem_stride, "a whole number from 1 to 4", stride),
            stage_strides=strides,
            dropout=number("dropout", dropout, "a number from 0 to below 1", lambda v: 0 <= v < 1),
            final_expand=number(
                "final_expand", final_expand, "a whole number from 0 to 8192", whole(0, 8192)
            ),
            last_width=number("last_width", last_width, "a whole number from 0 to 8192", whole(0, 8192)),
        )
        self._costs = LayerCosts(self.layout)

    def variables(self) -> tuple[Variable, ...]:
        """`resolution`, `width`, `stageS.depth`, `stageS.layerL.kernel`, `stageS.layerL.expand`, from 1."""
        return self.layout.variables()

    def supernet(self, task: Task) -> Supernet:
        """See `SupernetProvider.supernet`."""
        return ElasticMobileNetV3(self.layout, task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """See `SupernetProvider.build`.

        Raises:
            CandidateError: The backbone is not of this space.
        """
        return build_plain(self.layout, self.layout.plan(backbone), task)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """See `SupernetProvider.exit_channels`: one number of channels for each width, where they differ."""
        points = STAGE_WIDTHS[: self.exit_points]
        return tuple(tuple(sorted({scaled(base, width) for width in self.layout.widths})) for base in points)

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """See `SupernetProvider.costs`: counted, each distinct layer once.

        Raises:
            CandidateError: The backbone is not of this space.
        """
        return self._costs(backbone, task)

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Fill `supernet` from a file, or from a supernet in the zoo of the once-for-all authors by its name.

        Raises:
            WeightsError: See `edanas.supernets.ofa_weights.load`.
        """
        if not isinstance(supernet, ElasticMobileNetV3):
            raise WeightsError(
                f"weights '{weights}': {type(supernet).__name__} is not this provider's supernet"
            )
        return load(supernet, weights)


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """The built-in provider."""
    return {"ofa-mbv3": OFAMobileNetV3Provider}
