"""Supernet provider `ofa-proxyless`: ProxylessNAS as searched by Once-for-All (Cai et al., ICLR 2020)."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import SupernetProvider
from edanas.core.hookspecs import hookimpl
from edanas.supernets.mobile_space import PROXYLESS
from edanas.supernets.ofa_mobile import MobileProvider, checked_space


class OFAProxylessProvider(MobileProvider):
    """ProxylessNAS with searched depth, kernel, expansion, width and resolution.

    A backbone has 6 elastic stages, whose sizes are searched, and 5 exit points, after stages 1 to 5. Stage 1
    also contains the stem and the first block, and stage 6 always has one block. The layers are inverted
    residual blocks with ReLU6 and without squeeze-and-excitation (Cai et al., ProxylessNAS, ICLR 2019). The
    setting `weights = "ofa_proxyless_d234_e346_k357_w1.3"` loads ImageNet weights for width 1.3.

    Args:
        widths: Choices of the width multiplier; 1.3 by default. Numbers of channels are rounded to multiples
            of 8.
        resolutions: Choices of the side of the input images, in pixels; 224 by default.
        depths: Choices of the number of layers in a stage; 2, 3 and 4 by default.
        kernels: Choices of the kernel size of depthwise convolutions, odd; 3, 5 and 7 by default.
        expansions: Choices of the ratio of a layer's inner channels to its input channels, above 1; 3, 4 and
            6 by default.
        stem_stride: Stride of the first convolution; 2 by default. Stride 1 preserves the side of small
            images.
        stage_strides: Stride of each of the 6 elastic stages.
        dropout: Share of the classifier's input features that is dropped in training; 0 by default.
        final_expand: Number of channels, at width 1, of the last 1x1 convolution before pooling; 0 omits the
            convolution.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(
        self,
        *,
        widths: tuple[float, ...] = (1.3,),
        resolutions: tuple[int, ...] = (224,),
        depths: tuple[int, ...] = (2, 3, 4),
        kernels: tuple[int, ...] = (3, 5, 7),
        expansions: tuple[float, ...] = (3, 4, 6),
        stem_stride: int = 2,
        stage_strides: tuple[int, ...] = (2, 2, 2, 1, 2, 1),
        dropout: float = 0.0,
        final_expand: int = 1280,
    ) -> None:
        super().__init__(
            checked_space(
                PROXYLESS,
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
                    "last_width": 0,
                },
            )
        )


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register the provider `ofa-proxyless`."""
    return {"ofa-proxyless": OFAProxylessProvider}
