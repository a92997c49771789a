"""Convolutions whose kernels are cut to the weights that reach the features."""

from functools import partial
from typing import Any

import torch
from torch import nn

from edanas.core.kernel_reach import Reach


def cut_kernel(conv: nn.Conv2d, reach: Reach) -> None:
    """Cut the kernel of a convolution in place; the output does not change on features of the planned side.

    A state dictionary may hold the whole kernel: it is cut when it is loaded.

    Args:
        conv: A convolution with square kernels and padding with zeros.
        reach: The weights to keep, along rows and along columns.
    """
    if reach.size == conv.kernel_size[0]:
        return
    hook = partial(_cut_loaded, side=conv.kernel_size[0], reach=reach)
    conv.weight = nn.Parameter(_reached(conv.weight.detach(), reach).clone())
    conv.kernel_size = (reach.size,) * 2
    conv.padding = (reach.padding,) * 2
    conv.register_load_state_dict_pre_hook(hook)  # type: ignore[no-untyped-call]


def _reached(weight: torch.Tensor, reach: Reach) -> torch.Tensor:
    part = slice(reach.first, reach.first + reach.size)
    return weight[:, :, part, part]


def _cut_loaded(_: nn.Module, state: dict[str, Any], prefix: str, *__: Any, side: int, reach: Reach) -> None:
    """Cut a kernel of `side` rows in a state dictionary, e.g. of a network saved with whole kernels."""
    weight = state.get(f"{prefix}weight")
    if weight is not None and weight.shape[-2:] == (side, side):
        state[f"{prefix}weight"] = _reached(weight, reach).clone()
