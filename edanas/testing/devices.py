"""A second device, on which the conformance suites run implementations."""

import copy
from typing import TypeVar

import torch
from torch import nn

T = TypeVar("T")


def other_device() -> torch.device:
    """Return the GPU or, without a GPU, torch's device `meta`, whose tensors have shapes but no values."""
    return torch.device("cuda" if torch.cuda.is_available() else "meta")


def moved(value: T, device: torch.device) -> T:
    """Return a copy of a module on `device`, or any other value unchanged."""
    return copy.deepcopy(value).to(device) if isinstance(value, nn.Module) else value
