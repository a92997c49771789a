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

    Stage 1 holds the stem, the first block and the first elastic stage. The exit points follow stages 1 to 4.
    Narrower networks use the first channels of the shared weights.

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

    Example:
        >>> provider = OFAMobileNetV3Provider(resolutions=(32, 48))
        >>> provider.exit_points, provider.variables()[0]
        (4, Variable(name='resolution', choices=(32, 48), parent=None, when=frozenset()))
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
        """Return the layers' names in latency tables; see `SupernetProvider.layers`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        return layer_names(self.space.plan(backbone), self.space.stem_stride, task)


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register `ofa-mbv3`."""
    return {"ofa-mbv3": OFAMobileNetV3Provider}
