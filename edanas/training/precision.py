"""In which precision a training computes: float32, or bfloat16 where that pays."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

AUTO, FP32, BF16 = "auto", "fp32", "bf16"


class _DepthwiseInFloat(TorchFunctionMode):
    """Leaves depthwise convolutions in float32: their backward pass in bfloat16 is slow on CPUs."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        named = kwargs or {}
        if func is torch.conv2d and (named.get("groups") or (args[6] if len(args) > 6 else 1)) > 1:
            with torch.autocast("cpu", enabled=False):
                return func(args[0].float(), args[1].float(), *args[2:], **named)
        return func(*args, **named)


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Inside, matrix products and convolutions run in `precision`; weights and gradients stay float32.

    Args:
        precision: `fp32` or `bf16`.
        device: Where the network is.
    """
    if precision == FP32:
        yield
        return
    with torch.autocast(device.type, dtype=torch.bfloat16):
        if device.type == "cuda":
            yield
        else:
            with _DepthwiseInFloat():
                yield


def without_measuring(precision: str, device: torch.device) -> str:
    """`auto` as it is where nobody measures: bfloat16 on GPUs that compute in it, float32 elsewhere."""
    if precision != AUTO:
        return precision
    return BF16 if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else FP32
