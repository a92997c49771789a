"""Precision of the computations of a training: float32 or bfloat16."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch

from edanas.core.machine import clock
from edanas.training.fast_operators import FastOperators

AUTO, FP32, BF16 = "auto", "fp32", "bf16"
"""Values of the setting `training.precision`."""

CLEARLY_FASTER = 0.95
"""Time of a step in bfloat16, as a share of the time in float32, below which `auto` chooses bfloat16."""


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


def faster_precision(passes: Callable[[str], object], device: torch.device) -> str:
    """Return `bf16` if a function is clearly faster in it than in `fp32`, otherwise `fp32`.

    The two are measured in turn, three times, each by its fastest call.

    Args:
        passes: Makes one pass through a network in a given precision.
        device: Device of the network.
    """
    now, seconds = clock(device), {FP32: math.inf, BF16: math.inf}
    for precision in (FP32, BF16) * 3:
        start = now()
        passes(precision)
        seconds[precision] = min(seconds[precision], now() - start)
    return BF16 if seconds[BF16] < CLEARLY_FASTER * seconds[FP32] else FP32
