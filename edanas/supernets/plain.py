"""Supernet provider `plain`: convolutions with BatchNorm and ReLU, mean of the features, linear layer.

A run trains three of these networks as baselines; `plain_family` describes them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from edanas.core.contracts import SupernetProvider
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Task
from edanas.supernets.baselines import convolution, pool_linear
from edanas.supernets.fixed_network import FixedProvider, Parts
from edanas.supernets.option_checks import checked_numbers, is_stride, is_whole

FIRST_CHANNELS = (8, 12, 24)
"""Number of channels of each baseline's first convolution; each later convolution doubles the channels."""

_LAST_MAP = 4
"""Largest side of the last features of a baseline, in pixels."""

_FULL_SIDE = 32
"""Largest side of images, in pixels, at which the first convolution of a baseline has stride 1."""


_KERNEL = 7
"""Length of the kernels for series."""

_MOST_CHANNELS = 8
"""Largest ratio of the channels of a convolution for series to those of the first."""


class PlainNetwork(FixedProvider):
    """A plain dense network: one convolution in each stage, then the mean of the features and a linear layer.

    Kernels are 3x3 for images, and have length 7 for series, whose padding counts as their mean.

    Args:
        channels: Number of output channels of each convolution.
        strides: Stride of each convolution.
        resolutions: Choices of the side of the input images in pixels, or of the length of series; 8 by
            default.
        series: True for series, false, the default, for images.

    Raises:
        ConfigError: An option is out of range, or the numbers of channels and of strides differ.

    Example:
        >>> PlainNetwork((8, 16, 32), (1, 2, 2)).exit_points
        2
    """

    def __init__(
        self,
        channels: tuple[int, ...] = (8, 16, 32),
        strides: tuple[int, ...] = (1, 2, 2),
        *,
        resolutions: tuple[int, ...] = (8,),
        series: bool = False,
    ) -> None:
        super().__init__(resolutions, series=series)
        self.channels = checked_numbers(
            "channels", channels, "whole numbers from 1 to 4096", is_whole(1, 4096)
        )
        self.strides = checked_numbers("strides", strides, "whole numbers from 1 to 4", is_stride)
        if len(self.channels) != len(self.strides) or len(self.channels) < 2:
            raise ConfigError(
                f"supernet.strides: found {len(self.strides)} strides for {len(self.channels)} numbers of "
                "channels; allowed: equal numbers, two or more"
            )
        self.exit_points = len(self.channels) - 1

    def parts(self, task: Task) -> Parts:
        """Build stages and last exit; see `FixedProvider.parts`."""
        before = task.in_channels
        stages: list[nn.Module] = []
        for after, stride in zip(self.channels, self.strides, strict=True):
            if self.series:
                conv = nn.Conv2d(before, after, (1, _KERNEL), stride, (0, _KERNEL // 2), bias=False)
                layers: list[nn.Module] = [conv, nn.BatchNorm2d(after), nn.ReLU()]
            else:
                layers = convolution(before, after, 3, stride=stride, norm=True)
            stages.append(nn.Sequential(*([] if stages or not self.series else [ZeroPadding()]), *layers))
            before = after
        return stages, pool_linear(before, task)


class ZeroPadding(nn.Module):
    """Replaces the padding of prepared series, which is NaN, with 0, the mean of the channel."""

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """Return series (B, C, 1, L) without NaN."""
        return torch.where(series.isnan(), torch.zeros_like(series), series)


def plain_family(side: int, *, series: bool = False) -> dict[str, dict[str, Any]]:
    """Return the options of the baselines for square images or series, by the name of the network.

    The last features are at most 4x4, and at least 2x2 for images of 5 or more pixels. The first convolution
    has stride 1 for images of up to 32 pixels, so that a network for larger images costs about as much as for
    32 pixels.

    Args:
        side: Side of the images in pixels, or length of the series, 4 or more.
        series: True for series, whose networks have at most eight times the channels of the first layer.

    Returns:
        Three networks, from the cheapest to the most expensive.

    Example:
        >>> plain_family(8)["plain-8-16-32"]
        {'channels': [8, 16, 32], 'strides': [1, 2, 2], 'resolutions': [8]}
        >>> list(plain_family(32))
        ['plain-8-16-32-64', 'plain-12-24-48-96', 'plain-24-48-96-192']
    """
    halvings, features = 0, side
    while features > _LAST_MAP or halvings < 2:
        halvings, features = halvings + 1, -(-features // 2)
    strides = [1] * (side <= _FULL_SIDE) + [2] * halvings
    family = {}
    for first in FIRST_CHANNELS:
        most = first * _MOST_CHANNELS if series else first * 2 ** len(strides)
        channels = [min(first * 2**number, most) for number in range(len(strides))]
        name = "-".join(map(str, ("plain", *channels)))
        options = {"channels": channels, "strides": strides, "resolutions": [side]}
        family[name] = options | ({"series": True} if series else {})
    return family


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register the provider `plain`."""
    return {"plain": PlainNetwork}
