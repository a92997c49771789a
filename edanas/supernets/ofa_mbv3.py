"""Supernet provider `ofa-mbv3`: the MobileNetV3 search space of Once-for-All (Cai et al., ICLR 2020)."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import SupernetProvider
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Backbone, Task
from edanas.supernets.latency_table_names import layer_names
from edanas.supernets.mobile_space import MINIMALISTIC, MOBILENET_V3
from edanas.supernets.ofa_mobile import MobileProvider, checked_space


class OFAMobileNetV3Provider(MobileProvider):
    """MobileNetV3 with searched depth, kernel, expansion, width and resolution.

    A backbone has 5 elastic stages, whose sizes are searched, and 4 exit points, after stages 1 to 4. Stage 1
    also contains the stem and the first block. Networks of smaller width use the first channels of the shared
    weights. Cai et al., Once-for-All, ICLR 2020; Howard et al., Searching for MobileNetV3, ICCV 2019.

    Args:
        widths: Choices of the width multiplier; 1 by default. Numbers of channels are rounded to multiples
            of 8.
        resolutions: Choices of the side of the input images, in pixels; 224 by default.
        depths: Choices of the number of layers in a stage; 2, 3 and 4 by default.
        kernels: Choices of the kernel size of depthwise convolutions, odd; 3, 5 and 7 by default.
        expansions: Choices of the ratio of a layer's inner channels to its input channels, above 1; 3, 4 and
            6 by default.
        stem_stride: Stride of the first convolution; 2 by default. Stride 1 preserves the side of small
            images.
        stage_strides: Stride of each of the 5 elastic stages.
        dropout: Share of the classifier's input features that is dropped in training; 0 by default.
        final_expand: Number of channels, at width 1, of the last 1x1 convolution before pooling; 0 omits the
            convolution.
        last_width: Number of channels, at width 1, of the feature mix (a 1x1 convolution) after pooling; 0
            omits the feature mix.
        minimalistic: Use ReLU in place of hard swish, and no squeeze-and-excitation, for microcontrollers;
            false by default.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> provider = OFAMobileNetV3Provider(resolutions=(32, 48))
        >>> provider.exit_points, provider.variables()[0].choices
        (4, (32, 48))
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
        minimalistic: bool = False,
    ) -> None:
        super().__init__(
            checked_space(
                MINIMALISTIC if minimalistic else MOBILENET_V3,
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
        """Return the names of the layers in latency tables; see `SupernetProvider.layers`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        return layer_names(self.space.plan(backbone), self.space.stem_stride, task)


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register the provider `ofa-mbv3`."""
    return {"ofa-mbv3": OFAMobileNetV3Provider}
