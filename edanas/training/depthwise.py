"""Depthwise convolutions in bfloat16 whose gradients are quick to compute on CPUs.

torch's own are not: the weight gradient of a kernel of 5 takes some 13 times as long as the convolution
itself, and the input gradient at stride 2 some 100 times (`benchmarks/depthwise.py`). The weight gradient
of a kernel of 3 is quick, and so is the input gradient at stride 1.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd import Function
from torch.autograd.function import once_differentiable

SIDE = 3
"""Of the kernel whose weight gradient is quick to compute; those of larger kernels are put together of it."""


def pair(value: int | Sequence[int]) -> tuple[int, int]:
    """What is given once for rows and columns, or for each."""
    values = (value,) if isinstance(value, int) else tuple(value)
    rows, columns = values * 2 if len(values) == 1 else values
    return rows, columns


@cache
def has_bfloat16() -> bool:
    """Whether this CPU has kernels for bfloat16: without them, torch convolves channel by channel."""
    there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return there and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def can_compute(
    features: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: int | Sequence[int],
    padding: int | Sequence[int] | str,
    dilation: int | Sequence[int],
    groups: int,
) -> bool:
    """Whether `depthwise` does what `torch.conv2d` does with these arguments, on this CPU."""
    if features.ndim != 4 or bias is not None or isinstance(padding, str) or pair(dilation) != (1, 1):
        return False
    channels, inputs, kernel, columns = weight.shape
    (down, right), (high, wide) = pair(stride), pair(padding)
    alike = kernel == columns and down == right and high == wide and channels == groups and inputs == 1
    fits = alike and kernel % 2 == 1 and down in (1, 2) and (kernel <= SIDE or high >= SIDE // 2)
    return fits and has_bfloat16()


def depthwise(features: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
    """As `torch.conv2d` with as many groups as channels, in bfloat16; can be differentiated once.

    Args:
        features: (B, C, H, W), of any floating type.
        weight: (C, 1, K, K), of any floating type, with an odd K.
        stride: 1 or 2.
        padding: Of zeros, on each side.

    Returns:
        (B, C, H', W') in bfloat16.
    """
    out: torch.Tensor = _Depthwise.apply(features.bfloat16(), weight.bfloat16(), stride, padding)
    return out


class _Depthwise(Function):
    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> Any:
        ctx.save_for_backward(features, weight)
        ctx.stride, ctx.padding = stride, padding
        return torch.conv2d(features, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        features, weight = ctx.saved_tensors
        of_features = of_weight = None
        if ctx.needs_input_grad[0]:
            of_features = input_gradient(gradient, features, weight, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient(gradient, features, weight, ctx.stride, ctx.padding)
        return of_features, of_weight, None, None


def input_gradient(
    gradient: torch.Tensor, features: torch.Tensor, weight: torch.Tensor, stride: int, padding: int
) -> torch.Tensor:
    """The gradient (B, C, H, W) by `features` of a depthwise convolution.

    Args:
        gradient: By the result, (B, C, H', W').
        features: (B, C, H, W).
        weight: (C, 1, K, K).
        stride: As in `depthwise`.
        padding: As in `depthwise`.
    """
    if stride == 1:
        return gradients(gradient, features, weight, stride, padding, (True, False))[0]
    # Of the features no more than the shape is read.
    wide = gradient.float(), torch.empty_like(features, dtype=torch.float32), weight.float()
    return gradients(*wide, stride, padding, (True, False))[0].to(features.dtype)


def weight_gradient(
    gradient: torch.Tensor, features: torch.Tensor, weight: torch.Tensor, stride: int, padding: int
) -> torch.Tensor:
    """The gradient (C, 1, K, K) by `weight` of a depthwise convolution; arguments as of `input_gradient`.

    That of a larger kernel is put together of those of kernels of `SIDE`, one from every even row and column
    on. Each reads the features further down and to the right, for which the gradient of the result is moved.
    """
    kernel, inner = weight.shape[-1], SIDE // 2
    if kernel <= SIDE:
        return gradients(gradient, features, weight, stride, padding, (False, True))[1]
    spare = (kernel - SIDE) // stride
    padded, moving = F.pad(features, (padding - inner,) * 4), F.pad(gradient, (spare,) * 4)
    height, width = (side - spare for side in moving.shape[2:])
    small, whole = weight[:, :, :SIDE, :SIDE], torch.empty_like(weight)
    for row in range(0, kernel - inner, 2):
        for column in range(0, kernel - inner, 2):
            top, left = spare - row // stride, spare - column // stride
            moved = moving[:, :, top : top + height, left : left + width]
            piece = gradients(moved, padded, small, stride, inner, (False, True))[1]
            whole[:, :, row : row + SIDE, column : column + SIDE] = piece
    return whole


def gradients(
    gradient: torch.Tensor,
    features: torch.Tensor,
    weight: torch.Tensor,
    stride: int,
    padding: int,
    wanted: tuple[bool, bool],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of torch's own making, by `features` and by `weight`, in their shapes.

    Args:
        gradient: As of `input_gradient`, and so are those that follow.
        features: (B, C, H, W).
        weight: (C, 1, K, K).
        stride: Of the convolution.
        padding: Of the convolution.
        wanted: Which of the two; in place of the other is nothing to be read.
    """
    found: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = torch.ops.aten.convolution_backward(
        gradient,
        features,
        weight,
        None,
        [stride] * 2,
        [padding] * 2,
        [1, 1],
        False,  # noqa: FBT003
        [0, 0],
        len(weight),
        (*wanted, False),
    )
    return found[0], found[1]
