"""Sorting of the inner channels of blocks by importance; the function of the network does not change.

The importance of a channel is the L1 norm of the weights that read it, as in Cai et al., Once-for-All, ICLR
2020, Section 3.3. Smaller backbones use the first channels, which are the most important ones after sorting.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch

from edanas.supernets.series_blocks import Block1d, NormalisedConv1d


def importance_order(importance: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """Return the order (C,) of channels of falling importance, within groups that keep their places.

    Args:
        importance: (C,) importance of each channel.
        sizes: Numbers of first channels that backbones use already; each set of first channels stays.

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
def sort_series_block(block: Block1d, sizes: Sequence[int]) -> None:
    """Sort the inner channels of a block for series in place; see `importance_order`."""
    if block.expand is None:
        return
    importance = block.project.conv.weight.abs().sum(dim=(0, 2, 3))
    order = importance_order(importance, sizes)
    for layer in (block.expand, block.depthwise):
        _reorder_outputs(layer, order)
    _reorder(block.project.conv.weight, order, dim=1)
    if block.squeeze is not None:
        _reorder(block.squeeze.reduce.weight, order, dim=1)
        _reorder(block.squeeze.expand.weight, order)
        if block.squeeze.expand.bias is not None:
            _reorder(block.squeeze.expand.bias, order)


def _reorder_outputs(layer: NormalisedConv1d, order: torch.Tensor) -> None:
    """Reorder the output channels of a convolution, and of its BatchNorm."""
    _reorder(layer.conv.weight, order)
    for tensor in (layer.bn.weight, layer.bn.bias, layer.bn.running_mean, layer.bn.running_var):
        if tensor is not None:
            _reorder(tensor, order)


def _reorder(tensor: torch.Tensor, order: torch.Tensor, dim: int = 0) -> None:
    tensor.copy_(tensor.index_select(dim, order))
