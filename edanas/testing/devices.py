"""The device on which suites ask things again."""

import copy
from typing import TypeVar

import torch
from torch import nn

T = TypeVar("T")


def other_device() -> torch.device:
    """A GPU; where there is none, torch's device without memory, where only shapes and devices are real."""
    return torch.device("cuda" if torch.cuda.is_available() else "meta")


def moved(asked: T, device: torch.device) -> T:
    """A copy on `device` of what has weights; anything else as it is."""
    return copy.deepcopy(asked).to(device) if isinstance(asked, nn.Module) else asked
