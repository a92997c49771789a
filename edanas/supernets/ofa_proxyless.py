"""Supernet provider `ofa-proxyless`: the once-for-all ProxylessNAS space (Cai et al., ICLR 2020)."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import SupernetProvider
from edanas.core.hookspecs import hookimpl
from edanas.supernets.mobile_space import PROXYLESS
from edanas.supernets.ofa_mobile import MobileProvider, checked_space


class OFAProxylessProvider(MobileProvider):
    """ProxylessNAS, elastic in depth, kernel, expansion, width and resolution: 6 stages, 5 exit points.

    Inverted residual blocks with ReLU6 and no squeeze-and-excitation (Cai et al., ProxylessNAS, ICLR 2019).
    Stage 1 holds the stem, the first block and the first elastic stage. The exit points follow stages 1 to 5,
    and stage 6 has one block. Weights for width 1.3 from ImageNet: `ofa_proxyless_d234_e346_k357_w1.3`.

    Args:
        widths: Width multipliers; channels are rounded to multiples of 8.
        resolutions: Sides of the input images in pixels.
        depths: Layers in a stage.
        kernels: Sizes of the depthwise convolutions, odd.
        expansions: Ratios of a layer's inner to its input channels, larger than 1.
        stem_stride: Stride of the first convolution; 1 keeps the side of small images.
        stage_strides: Stride of each of the 6 elastic stages.
        dropout: Share of the features dropped before the classifier, in training.
        final_expand: Channels of the last 1x1 convolution before pooling, at width 1; 0 = none.

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
    """Register `ofa-proxyless`."""
    return {"ofa-proxyless": OFAProxylessProvider}
