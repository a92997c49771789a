"""Precision of the computations of a training: float32 or bfloat16."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from edanas.training.fast_operators import FastOperators

AUTO, FP32, BF16 = "auto", "fp32", "bf16"
"""Values of the setting `training.precision`."""


@contextmanager
def compute_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Run matrix products and convolutions in the `with` block in a given precision.

    Weights and their gradients stay float32. On CPUs, the operators of
    `edanas.training.fast_operators` run.

    Args:
        precision: `fp32` (float32) or `bf16` (bfloat16).
        device: Device of the network.

    Example:
        >>> with compute_precision(BF16, torch.device("cpu")):
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.bfloat16
    """
    with ExitStack() as stack:
        if precision != FP32:
            stack.enter_context(torch.autocast(device.type, dtype=torch.bfloat16))
        if device.type == "cpu":
            stack.enter_context(FastOperators())
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
