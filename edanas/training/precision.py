"""Precision of the computations of a training: float32 or bfloat16."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from edanas.training.depthwise import can_compute, depthwise, pair

AUTO, FP32, BF16 = "auto", "fp32", "bf16"
"""Values of the setting `training.precision`."""


class _FastDepthwise(TorchFunctionMode):
    """Computes depthwise convolutions with `depthwise`, and other grouped convolutions in float32."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        keywords = kwargs or {}
        if func is torch.conv2d:
            return self._conv2d(*args, **keywords)
        return func(*args, **keywords)

    def _conv2d(
        self,
        input: torch.Tensor,  # noqa: A002
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> torch.Tensor:
        options = bias, stride, padding, dilation, groups
        if groups == 1:
            return torch.conv2d(input, weight, *options)
        if can_compute(input, weight, *options):
            return depthwise(input, weight, pair(stride)[0], pair(padding)[0])
        with torch.autocast("cpu", enabled=False):
            return torch.conv2d(input.float(), weight.float(), *options)


@contextmanager
def compute_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Run matrix products and convolutions in the `with` block in a given precision.

    Weights and their gradients stay float32. On CPUs, a grouped convolution runs in bfloat16 only if
    `edanas.training.depthwise` can compute it; otherwise it runs in float32.

    Args:
        precision: `fp32` (float32) or `bf16` (bfloat16).
        device: Device of the network.

    Example:
        >>> with compute_precision(BF16, torch.device("cpu")):
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.bfloat16
    """
    if precision == FP32:
        yield
        return
    with torch.autocast(device.type, dtype=torch.bfloat16):
        if device.type == "cuda":
            yield
        else:
            with _FastDepthwise():
                yield


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return `fp32` or `bf16`, with `auto` resolved for a device.

    `auto` means `bf16` on GPUs with hardware for bfloat16, and `fp32` on other devices.

    Args:
        precision: `auto`, `fp32` or `bf16`.
        device: Device of the training.

    Example:
        >>> resolve_precision(AUTO, torch.device("cpu"))
        'fp32'
    """
    if precision != AUTO:
        return precision
    return BF16 if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else FP32
