"""Check of weights for numbers that are not finite."""

from collections.abc import Mapping
from typing import Any

import torch

from edanas.core.errors import WeightsError


def check_finite(tensors: Mapping[str, Any], source: object) -> None:
    """Check that tensors hold finite numbers only.

    Args:
        tensors: Tensors by name; values of other types and tensors of integers are ignored.
        source: Origin of the tensors, for the message, e.g. a path.

    Raises:
        WeightsError: A tensor holds NaN or an infinite number.

    Example:
        >>> check_finite({"weight": torch.ones(2)}, "net.safetensors")
        >>> check_finite({"weight": torch.tensor([1.0, float("nan")])}, "net.safetensors")
        Traceback (most recent call last):
        ...
        edanas.core.errors.WeightsError: net.safetensors: 1 of 1 tensors holds numbers that are not finite \
(the first is 'weight'); allowed: finite numbers. The training of these weights diverged
    """
    floating = {
        name: tensor
        for name, tensor in tensors.items()
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
    }
    wrong = [name for name, tensor in floating.items() if not bool(torch.isfinite(tensor).all())]
    if wrong:
        raise WeightsError(
            f"{source}: {len(wrong)} of {len(floating)} tensors hold{'s' * (len(wrong) == 1)} numbers that "
            f"are not finite (the first is '{wrong[0]}'); allowed: finite numbers. The training of these "
            "weights diverged"
        )
