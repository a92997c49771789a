"""Sorting of the inner channels of blocks by importance; the function of the network does not change.

The importance of a channel is the L1 norm of the weights that read it, as in Cai et al., Once-for-All, ICLR
2020, Section 3.3. Smaller backbones use the first channels, which are the most important ones after sorting.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

Normalised = tuple[nn.Conv2d, nn.BatchNorm2d]
"""A convolution and the BatchNorm of its output."""


def importance_order(importance: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """Return the order (C,) of channels of falling importance, within groups that keep their places.

    Args:
        importance: (C,) importance of each channel.
        sizes: Numbers of first channels that trained backbones use; each set of first channels stays.

    Example:
        >>> importance_order(torch.tensor([1.0, 2.0, 3.0, 4.0]), sizes=[])
        tensor([3, 2, 1, 0])
        >>> importance_order(torch.tensor([1.0, 2.0, 3.0, 4.0]), sizes=[2])
        tensor([1, 0, 3, 2])
    """
    bounds = sorted({0, *sizes, len(importance)})
    groups = [
        start + importance[start:end].argsort(descending=True, stable=True) for start, end in pairwise(bounds)
    ]
    return torch.cat(groups)


@torch.no_grad()
def sort_inner_channels(
    before: Sequence[Normalised],
    project: nn.Conv2d,
    squeeze: tuple[nn.Conv2d, nn.Conv2d] | None,
    sizes: Sequence[int],
    squeeze_sizes: Sequence[int] = (),
) -> None:
    """Sort the inner channels of a block in place; see `importance_order`.

    Args:
        before: The expansion and the depthwise convolution, whose outputs are the inner channels.
        project: The projection, which reads the inner channels.
        squeeze: The reducing and the expanding convolution of squeeze-and-excitation, or `None`.
        sizes: Numbers of inner channels of trained backbones.
        squeeze_sizes: Numbers of channels between the two convolutions of `squeeze` in trained backbones.
    """
    order = importance_order(project.weight.abs().sum(dim=(0, 2, 3)), sizes)
    for convolution, norm in before:
        _reorder(order, convolution.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    _reorder(order, project.weight, dim=1)
    if squeeze is not None:
        reduce, expand = squeeze
        _reorder(order, reduce.weight, dim=1)
        _reorder(order, expand.weight, expand.bias)
        inside = importance_order(expand.weight.abs().sum(dim=(0, 2, 3)), squeeze_sizes)
        _reorder(inside, reduce.weight, reduce.bias)
        _reorder(inside, expand.weight, dim=1)


def _reorder(order: torch.Tensor, *tensors: torch.Tensor | None, dim: int = 0) -> None:
    for tensor in tensors:
        if tensor is not None:
            tensor.copy_(tensor.index_select(dim, order))
