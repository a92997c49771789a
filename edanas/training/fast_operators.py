"""Faster operators for training on CPUs: convolutions, and means over the pixels of features.

Results and gradients are those of torch, apart from rounding.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from edanas.training.convolutions import convolution

_MEANS = (torch.mean, torch.Tensor.mean)


class FastOperators(TorchFunctionMode):
    """Computes each two-dimensional convolution, and each mean over pixels, fast in the `with` block."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        keywords = kwargs or {}
        if torch.compiler.is_compiling():
            return func(*args, **keywords)
        if func is torch.conv2d:
            return convolution(*args, **keywords)
        if func in _MEANS and set(keywords) <= {"dim", "keepdim"}:
            return _mean(func, *args, **keywords)
        return func(*args, **keywords)


def _mean(func: Callable[..., Any], features: torch.Tensor, *args: Any, **keywords: Any) -> Any:
    """Return a mean; over pixels of channels-last features, the channels are the inner dimension.

    A mean over rows or columns of such features is some seven times as slow in torch's order of dimensions.
    """
    dim = args[0] if args else keywords.get("dim")
    keepdim = args[1] if len(args) > 1 else keywords.get("keepdim", False)
    sizes = (dim,) if isinstance(dim, int) else tuple(dim or ())
    dims = {each % 4 for each in sizes if -4 <= each < 4}
    is_last = features.ndim == 4 and features.is_contiguous(memory_format=torch.channels_last)
    if not is_last or not keepdim or len(dims) != len(sizes) or not dims or dims - {2, 3}:
        return func(features, *args, **keywords)
    pixels = features.permute(0, 2, 3, 1)
    if len(dims) == 2:
        return pixels.flatten(1, 2).mean(1)[:, :, None, None]
    return pixels.mean(dims.pop() - 1, keepdim=True).permute(0, 3, 1, 2)
