"""The second device of the conformance suites."""

import copy
from typing import TypeVar

import torch
from torch import nn

T = TypeVar("T")


def other_device() -> torch.device:
    """Return a GPU, or else torch's `meta` device, on which only shapes and devices are real."""
    return torch.device("cuda" if torch.cuda.is_available() else "meta")


def moved(value: T, device: torch.device) -> T:
    """Return a copy of a module on `device`; any other value unchanged."""
    return copy.deepcopy(value).to(device) if isinstance(value, nn.Module) else value
