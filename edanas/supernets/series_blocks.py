"""Blocks of networks for series: convolutions along series, with a mask of valid positions.

Series (C, L) are features (C, 1, L), and convolutions are two-dimensional with kernels of height 1.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from edanas.supernets.series_masks import join, pooled, split_features, split_input
from edanas.supernets.series_space import BlockPlan

Layer = Callable[[torch.Tensor], torch.Tensor]
"""Function from features to features."""


class NormalisedConv1d(nn.Module):
    """A convolution along series, without bias, and BatchNorm.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel: Length of the kernel.
        stride: Stride of the convolution; 1 by default.
        padding: Number of zeros on both ends; 0 by default.
        groups: Number of groups; 1 by default.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, (1, kernel), stride, (0, padding), groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the normalised output channels (B, D, 1, L') of features (B, C, 1, L)."""
        out: torch.Tensor = self.bn(self.conv(features))
        return out


class Squeeze(nn.Module):
    """The weights of squeeze-and-excitation: pooled channels (B, C, 1, 1) -> factors in [0, 1] (B, C, 1, 1).

    Hu et al., Squeeze-and-Excitation Networks, CVPR 2018.

    Args:
        channels: Number of channels.
        inner: Number of inner channels.
    """

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.expand = nn.Conv2d(inner, channels, 1)

    def forward(self, means: torch.Tensor) -> torch.Tensor:
        """Return the factors of the channels."""
        return F.hardsigmoid(self.expand(F.relu(self.reduce(means))))


class Block1d(nn.Module):
    """An inverted residual block: expansion, depthwise convolution, squeeze-and-excitation, projection.

    Sandler et al., MobileNetV2, CVPR 2018. A module for expansion 1 has no expansion layer; a shared module
    with several expansions has one.

    Args:
        plan: The sizes of the block.
        kernel: Length of the depthwise kernel; `None`, the default, means the weights that reach the
            features.
    """

    def __init__(self, plan: BlockPlan, kernel: int | None = None) -> None:
        super().__init__()
        self.plan = plan
        mid, reach = plan.mid_channels, plan.reach
        self.expand: NormalisedConv1d | None = None
        if mid != plan.in_channels or kernel is not None:
            self.expand = NormalisedConv1d(plan.in_channels, mid, 1)
        size, padding = (reach.size, reach.padding) if kernel is None else (kernel, kernel // 2)
        self.depthwise = NormalisedConv1d(mid, mid, size, plan.stride, padding, mid)
        self.squeeze = Squeeze(mid, plan.inner) if plan.squeeze else None
        self.project = NormalisedConv1d(mid, plan.out_channels, 1)

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return output features (B, D, 1, L') and their mask; see `run_block`."""
        return run_block(self.plan, self.expand, self.depthwise, self.squeeze, self.project, features, mask)


def run_block(
    plan: BlockPlan,
    expand: Layer | None,
    depthwise: Layer,
    squeeze: Layer | None,
    project: Layer,
    features: torch.Tensor,
    mask: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the output features (B, D, 1, L') of a block, and their mask (B, 1, 1, L').

    Args:
        plan: The sizes of the block.
        expand: The expansion; `None` leaves it out.
        depthwise: The depthwise convolution.
        squeeze: The function from means to factors of the channels; `None` leaves it out.
        project: The projection.
        features: Input features (B, C, 1, L), 0 at padding.
        mask: Mask of valid positions (B, 1, 1, L); `None` means that all positions are valid.
    """
    inner = features if expand is None else masked(F.relu(expand(features)), mask)
    after = None if mask is None else mask[..., :: plan.stride]
    inner = masked(F.relu(depthwise(inner)), after)
    if squeeze is not None:
        inner = inner * squeeze(pooled(inner, after))
    out = masked(project(inner), after)
    return (out + features if plan.residual else out), after


def masked(features: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return features (B, C, 1, L) with 0 where a mask (B, 1, 1, L) is 0; `None` masks nothing."""
    return features if mask is None else features * mask


class Stem(nn.Module):
    """The first convolution, with ReLU.

    Args:
        conv: The convolution with BatchNorm.
        stride: Its stride.
    """

    def __init__(self, conv: nn.Module, stride: int) -> None:
        super().__init__()
        self.conv, self.stride = conv, stride

    def forward(
        self, series: torch.Tensor, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return features (B, D, 1, L') of series (B, C, 1, L), and their mask."""
        after = None if mask is None else mask[..., :: self.stride]
        return masked(F.relu(self.conv(series)), after), after


class SeriesStage(nn.Module):
    """The blocks of a stage in sequence.

    Args:
        blocks: Modules that map features and mask to features and mask; the first stage begins with the stem.
        masked: True if the stage reads and returns a mask; see `edanas.supernets.series_masks`.
        first: True for the first stage, which reads series with NaN at padding.
    """

    def __init__(self, blocks: Sequence[nn.Module], *, masked: bool, first: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.masked, self.first = masked, first

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the features of the last block, with the mask as last channel if the stage is masked."""
        mask: torch.Tensor | None = None
        if self.masked:
            features, mask = split_input(features) if self.first else split_features(features)
        for block in self.blocks:
            features, mask = block(features, mask)
        return features if mask is None else join(features, mask)


class LastExit1d(nn.Module):
    """The last exit: average pooling of the first C channels, dropout, and a linear layer.

    Args:
        features: Number C of channels that the linear layer reads; a mask is left out.
        classes: Number of classes.
        dropout: Share of the features that is dropped in training.
    """

    def __init__(self, features: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.channels = features
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, K) for features (B, C or C + 1, 1, L)."""
        means = features.mean((2, 3))[:, : self.channels]
        logits: torch.Tensor = self.linear(self.dropout(means))
        return logits
