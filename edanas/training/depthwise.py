"""Depthwise convolutions with fast gradients on CPUs, in float32 and bfloat16.

On small features, torch's weight gradient takes 10 to 70 times as long as the convolution;
`edanas.training.pair_gradients` replaces it.

On larger features in bfloat16, torch's weight gradient of a 5x5 kernel takes about 13 times as long as the
convolution. The input gradient at stride 2 takes about 100 times as long (`benchmarks/depthwise.py`). The
weight gradient of a 3x3 kernel and the input gradient at stride 1 are fast. Therefore the weight gradients of
larger kernels are composed of weight gradients of 3x3 kernels. The input gradient at stride 2 is computed in
float32.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from edanas.training.pair_gradients import has_few_pairs, pair_gradient

SIDE = 3
"""Side of the largest kernel whose weight gradient torch computes fast."""


def pair(value: int | Sequence[int]) -> tuple[int, int]:
    """Return the values for rows and columns of a convolution option, which may be given as one number.

    Example:
        >>> pair(2), pair([1, 2])
        ((2, 2), (1, 2))
    """
    values = (value,) if isinstance(value, int) else tuple(value)
    rows, columns = values * 2 if len(values) == 1 else values
    return rows, columns


@cache
def has_bfloat16() -> bool:
    """Return True if torch has fast bfloat16 kernels for this CPU.

    Otherwise torch computes grouped convolutions in bfloat16 channel by channel.
    """
    has_mkldnn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_mkldnn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def depthwise(
    features: torch.Tensor, weight: torch.Tensor, stride: int, padding: tuple[int, int]
) -> torch.Tensor:
    """Return a depthwise convolution whose gradients are fast.

    In a depthwise convolution each channel has one kernel, and the number of groups is the number of
    channels. The result is differentiable once.

    Args:
        features: Features of B samples with C channels (B, C, H, W).
        weight: Kernels (C, 1, rows, columns), of the type of `features`.
        stride: Stride of the convolution.
        padding: Numbers of rows and of columns of zeros, added on both ends.

    Returns:
        Features (B, C, H', W'); H' and W' are the height and width that `torch.conv2d` returns.
    """
    if weight.shape[2:] == features.shape[2:] == (1, 1) and padding == (0, 0):
        return features * weight.view(1, -1, 1, 1)
    out: torch.Tensor = _Depthwise.apply(features, weight, stride, padding)
    return out


class _Depthwise(Function):
    """Implementation of `depthwise` with the fast gradients of this module."""

    @staticmethod
    def forward(
        ctx: Any, features: torch.Tensor, weight: torch.Tensor, stride: int, padding: tuple[int, int]
    ) -> Any:
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
    gradient: torch.Tensor,
    features: torch.Tensor,
    weight: torch.Tensor,
    stride: int,
    padding: tuple[int, int],
) -> torch.Tensor:
    """Return the gradient of the loss with respect to the features of a depthwise convolution.

    Args:
        gradient: Gradient with respect to the convolution's result (B, C, H', W').
        features: Input features of the convolution (B, C, H, W).
        weight: Kernels (C, 1, rows, columns).
        stride: Stride of the convolution.
        padding: Padding of rows and columns; see `depthwise`.

    Returns:
        The gradient (B, C, H, W).
    """
    if stride == 1 or features.dtype != torch.bfloat16:
        return gradients(gradient, features, weight, stride, padding, (True, False))[0]
    # Only the shape of the features is read.
    in_float32 = gradient.float(), torch.empty_like(features, dtype=torch.float32), weight.float()
    return gradients(*in_float32, stride, padding, (True, False))[0].to(features.dtype)


def weight_gradient(
    gradient: torch.Tensor,
    features: torch.Tensor,
    weight: torch.Tensor,
    stride: int,
    padding: tuple[int, int],
) -> torch.Tensor:
    """Return the gradient (C, 1, rows, columns) of the loss with respect to the kernels `weight`.

    `input_gradient` describes the arguments.
    """
    rows, columns = weight.shape[2:]
    if has_few_pairs(features, gradient, max(rows, columns)):
        return pair_gradient(gradient, features, (rows, columns), stride, padding)
    if features.dtype != torch.bfloat16 or max(rows, columns) <= SIDE:
        return gradients(gradient, features, weight, stride, padding, (False, True))[1]
    if rows == columns and rows % 2 and padding[0] == padding[1] >= SIDE // 2 and stride in (1, 2):
        return _composed_gradient(gradient, features, weight, stride, padding[0])
    tensors = gradient.float(), features.float(), weight.float()
    return gradients(*tensors, stride, padding, (False, True))[1].to(weight.dtype)


def _composed_gradient(
    gradient: torch.Tensor, features: torch.Tensor, weight: torch.Tensor, stride: int, padding: int
) -> torch.Tensor:
    """Return the gradient of square kernels with an odd side above `SIDE`.

    It is composed of squares of `SIDE` x `SIDE` values, one at every even row and column. A square at row r
    and column c is the gradient of a small kernel, for a `gradient` shifted by r rows and c columns.
    """
    kernel, inner = weight.shape[-1], SIDE // 2
    spare = (kernel - SIDE) // stride
    padded, gradient_padded = F.pad(features, (padding - inner,) * 4), F.pad(gradient, (spare,) * 4)
    height, width = (side - spare for side in gradient_padded.shape[2:])
    small, whole = weight[:, :, :SIDE, :SIDE], torch.empty_like(weight)
    for row in range(0, kernel - inner, 2):
        for column in range(0, kernel - inner, 2):
            top, left = spare - row // stride, spare - column // stride
            shifted = gradient_padded[:, :, top : top + height, left : left + width]
            piece = gradients(shifted, padded, small, stride, (inner, inner), (False, True))[1]
            whole[:, :, row : row + SIDE, column : column + SIDE] = piece
    return whole


def gradients(
    gradient: torch.Tensor,
    features: torch.Tensor,
    weight: torch.Tensor,
    stride: int,
    padding: tuple[int, int],
    outputs: tuple[bool, bool],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradients of a depthwise convolution, as torch computes them.

    Args:
        gradient: Gradient with respect to the convolution's result (B, C, H', W').
        features: Input features of the convolution (B, C, H, W).
        weight: Kernels (C, 1, rows, columns).
        stride: Stride of the convolution.
        padding: Padding of rows and columns; see `depthwise`.
        outputs: Two flags: compute the gradient with respect to `features`, and with respect to `weight`.

    Returns:
        The gradients with respect to `features` and `weight`, in the shapes of the two tensors. A gradient
        whose flag in `outputs` is False must not be used.
    """
    results: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = torch.ops.aten.convolution_backward(
        gradient,
        features,
        weight,
        None,
        [stride] * 2,
        list(padding),
        [1, 1],
        False,  # noqa: FBT003
        [0, 0],
        len(weight),
        (*outputs, False),
    )
    return results[0], results[1]
