"""Supernet provider `ofa-mbv3`: the once-for-all MobileNetV3 space (Cai et al., ICLR 2020), in stages."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import SupernetProvider
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Backbone, Task
from edanas.supernets.latency_table_names import layer_names
from edanas.supernets.mobile_space import MOBILENET_V3
from edanas.supernets.ofa_mobile import MobileProvider, checked_space


class OFAMobileNetV3Provider(MobileProvider):
    """MobileNetV3 with elastic depth, kernel, expansion, width and resolution: 5 stages, 4 exit points.

    Stage 1 is stem, first block and the first elastic stage; the ends of stages 1 to 4 are the exit points.
    Widths share weights by their first channels.

    Args:
        widths: Width multipliers; channels are rounded to multiples of 8.
        resolutions: Sides of the input images in pixels.
        depths: Layers in a stage.
        kernels: Sizes of the depthwise convolutions, odd.
        expansions: Ratios of a layer's inner to its input channels, larger than 1.
        stem_stride: Stride of the first convolution; 1 keeps the side of small images.
        stage_strides: Stride of each of the 5 elastic stages.
        dropout: Share of the features dropped before the classifier, in training.
        final_expand: Channels of the last 1x1 convolution before pooling, at width 1; 0 = none.
        last_width: Channels of the feature mix after pooling, at width 1; 0 = none.

    Raises:
        ConfigError: An option is out of range.
    """

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
        super().__init__(
            checked_space(
                MOBILENET_V3,
                {
                    "widths": widths,
                    "resolutions": resolutions,
                    "depths": depths,
                    "kernels": kernels,
                    "expansions": expansions,
                    "stem_stride": stem_stride,
                    "stage_strides": stage_strides,
                    "dropout": dropout,
                    "final_expand": final_expand,
                    "last_width": last_width,
                },
            )
        )

    def layers(self, backbone: Backbone, task: Task) -> tuple[tuple[str, ...], ...]:
        """See `SupernetProvider.layers`.

        Raises:
            CandidateError: The backbone is not of this space.
        """
        return layer_names(self.layout.plan(backbone), self.layout.stem_stride, task)


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """The built-in provider."""
    return {"ofa-mbv3": OFAMobileNetV3Provider}
