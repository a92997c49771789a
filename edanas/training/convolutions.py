"""Convolutions that cost on small features what their arithmetic costs, for training on CPUs.

Results and gradients are those of torch, apart from rounding.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from edanas.core.kernel_reach import reach
from edanas.training.depthwise import depthwise, has_bfloat16, pair

_FEW_PIXELS = 512
"""Largest number of pixels of a batch on which a 1x1 convolution is computed as a matrix product.

Torch's convolution has a higher fixed cost, and is faster on more pixels.
"""

Numbers = int | Sequence[int]


def convolution(
    input: torch.Tensor,  # noqa: A002 - torch's name of the argument
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Numbers = 1,
    padding: Numbers | str = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> torch.Tensor:
    """Return `torch.conv2d` of the same arguments; kernels are cut to the weights that reach the features.

    On few pixels, a 1x1 convolution is a matrix product. Depthwise convolutions have fast gradients, and run
    in bfloat16 under autocast if this CPU can. Other grouped convolutions run in float32 under autocast.
    """
    if input.ndim != 4 or isinstance(padding, str) or pair(dilation) != (1, 1):
        return _grouped(input, weight, bias, stride, padding, dilation, groups)
    steps, pads = pair(stride), pair(padding)
    weight, pads = _cut(input, weight, steps, pads)
    if groups == 1 and steps == (1, 1) and pads == (0, 0) and weight.shape[2:] == (1, 1):
        batch, _, height, width = input.shape
        if batch * height * width <= _FEW_PIXELS:
            return F.linear(input.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)
    if bias is None and steps[0] == steps[1] and len(weight) == groups and weight.shape[1] == 1:
        if not torch.is_autocast_enabled("cpu"):
            if input.dtype == weight.dtype:
                return depthwise(input, weight, steps[0], pads)
        elif has_bfloat16():
            return depthwise(input.bfloat16(), weight.bfloat16(), steps[0], pads)
    return _grouped(input, weight, bias, steps, pads, dilation, groups)


def _cut(
    features: torch.Tensor, weight: torch.Tensor, strides: tuple[int, int], pads: tuple[int, int]
) -> tuple[torch.Tensor, tuple[int, int]]:
    """Return the weights that reach the features, and the padding of rows and columns that they need."""
    if not any(pads):
        return weight, pads
    rows, columns = (
        reach(*each) for each in zip(features.shape[2:], weight.shape[2:], strides, pads, strict=True)
    )
    if (rows.size, columns.size) != weight.shape[2:]:
        weight = weight[
            :, :, rows.first : rows.first + rows.size, columns.first : columns.first + columns.size
        ]
    return weight, (rows.padding, columns.padding)


def _grouped(
    features: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Numbers,
    padding: Numbers | str,
    dilation: Numbers,
    groups: int,
) -> torch.Tensor:
    """Return torch's convolution; with several groups, in float32 under autocast."""
    options: tuple[Any, ...] = stride, padding, dilation, groups
    if groups == 1 or not torch.is_autocast_enabled("cpu"):
        return torch.conv2d(features, weight, bias, *options)
    with torch.autocast("cpu", enabled=False):
        bias = None if bias is None else bias.float()
        return torch.conv2d(features.float(), weight.float(), bias, *options)
