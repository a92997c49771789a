"""Weight gradients of depthwise convolutions on small features, from products of pairs of pixels.

The gradient of one weight is a sum over pairs of an input pixel and an output pixel. On small features there
are few pairs, and their products over the batch take a fraction of the time of torch's weight gradient.
"""

from functools import lru_cache

import torch

_ELEMENTWISE_PAIRS = 64
"""Largest number of pairs whose products are computed elementwise; more pairs take one matrix product per
channel.
"""

_PAIRS = 4096
"""Largest number of pairs that are computed at all: 64 input pixels and 64 output pixels."""

_FAST_KERNEL = 3
"""Largest number of weights on a side of a kernel whose gradient torch computes fast on large features."""

_FEW_PIXELS = 4
"""Largest number of input pixels on which torch's gradient of a small kernel is slow."""


def has_few_pairs(features: torch.Tensor, gradient: torch.Tensor, kernel: int) -> bool:
    """Return True if `pair_gradient` is faster than torch's weight gradient.

    Args:
        features: Input features of the convolution (B, C, H, W).
        gradient: Gradient with respect to the convolution's result (B, C, H', W').
        kernel: Larger side of the kernel.
    """
    pixels = features.shape[2] * features.shape[3]
    pairs = pixels * gradient.shape[2] * gradient.shape[3]
    return pairs <= _PAIRS if kernel > _FAST_KERNEL else pixels <= _FEW_PIXELS


def pair_gradient(
    gradient: torch.Tensor,
    features: torch.Tensor,
    kernel: tuple[int, int],
    stride: int,
    padding: tuple[int, int],
) -> torch.Tensor:
    """Return the gradient (C, 1, rows, columns) of the loss with respect to the weights.

    Args:
        gradient: Gradient with respect to the convolution's result (B, C, H', W').
        features: Input features of the convolution (B, C, H, W).
        kernel: Rows and columns of the kernel.
        stride: Stride of the convolution.
        padding: Padding of rows and of columns.
    """
    batch, channels = features.shape[:2]
    sizes = (*features.shape[2:], *gradient.shape[2:])
    weights = _weight_of_pairs(sizes, kernel, stride, padding).to(features.device, features.dtype)
    inputs, outputs = sizes[0] * sizes[1], sizes[2] * sizes[3]
    before = features.permute(0, 2, 3, 1).reshape(batch, inputs, channels)
    after = gradient.permute(0, 2, 3, 1).reshape(batch, outputs, channels)
    if inputs * outputs <= _ELEMENTWISE_PAIRS:
        products = (before[:, :, None] * after[:, None]).sum(0)
        return (products.view(-1, channels).t() @ weights).view(channels, 1, *kernel)
    # Channels first; a copy of a matrix's transpose is much faster than a copy of permuted features.
    before, after = (
        each.reshape(-1, channels).t().contiguous().view(channels, batch, -1) for each in (before, after)
    )
    products = torch.bmm(before.transpose(1, 2), after)
    return (products.view(channels, -1) @ weights).view(channels, 1, *kernel)


@lru_cache(maxsize=256)
def _weight_of_pairs(
    sizes: tuple[int, ...], kernel: tuple[int, int], stride: int, padding: tuple[int, int]
) -> torch.Tensor:
    """Return a matrix (pairs, weights) that is 1 where a weight multiplies the input pixel of a pair.

    Args:
        sizes: Height and width of the input, then of the output.
        kernel: Rows and columns of the kernel.
        stride: Stride of the convolution.
        padding: Padding of rows and of columns.
    """
    rows, columns = (
        torch.arange(before)[:, None] + pad - stride * torch.arange(after)
        for before, after, pad in zip(sizes[:2], sizes[2:], padding, strict=True)
    )
    # Dimensions: input row, input column, output row, output column.
    row, column = rows[:, None, :, None], columns[None, :, None, :]
    inside = (row >= 0) & (row < kernel[0]) & (column >= 0) & (column < kernel[1])
    weight = torch.where(inside, row * kernel[1] + column, kernel[0] * kernel[1]).flatten()
    return torch.nn.functional.one_hot(weight, kernel[0] * kernel[1] + 1)[:, :-1].float()
