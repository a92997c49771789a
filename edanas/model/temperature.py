"""Temperature scaling: each exit's logits divided by a number, so that its probabilities mean what they say.

Guo, Pleiss, Sun, Weinberger: "On Calibration of Modern Neural Networks", ICML 2017, section 4.2. The number
is the one with which the calibration samples are most likely; labels stay as they are, save where two logits
come to be equal by rounding.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from edanas.core.contracts import ExitNetwork

TEMPERATURES = "temperatures"
"""The key of a description where temperatures stand: one for each head, then the last exit's."""


class TemperedHead(nn.Module):
    """A head whose logits are divided by a temperature.

    A scale of its own, not folded into the last layer: a plugin's head need not end in a linear layer, and
    weights that are divided round otherwise than logits are.

    Args:
        head: Features -> logits (B, K).
        temperature: Above 0.
    """

    temperature: torch.Tensor

    def __init__(self, head: nn.Module, temperature: float) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("temperature", torch.tensor(temperature))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features -> logits (B, K)."""
        logits: torch.Tensor = self.head(features)
        return logits / self.temperature


def apply_temperatures(network: ExitNetwork, temperatures: Sequence[float]) -> None:
    """Have each exit's logits divided by a temperature, in place of what they were divided by before.

    The network's description keeps the temperatures, so that `edanas.load` builds it the same.

    Args:
        network: It runs, is saved and exported as before; only its heads change.
        temperatures: For each exit with a head, ascending, then the last exit; empty for none at all.

    Raises:
        ValueError: They are not as many as exits, or one is not above 0.
    """
    count = len(network.points) + 1
    values = [float(each) for each in temperatures] or [1.0] * count
    if len(values) != count or not all(0.0 < each < np.inf for each in values):
        raise ValueError(f"temperatures: found {values}; allowed: {count} numbers above 0")
    for key, value in zip(network.heads, values, strict=False):
        network.heads[key] = _tempered_head(network.heads[key], value)
    network.backbone.head = _tempered_head(network.backbone.head, values[-1])
    network.description.pop(TEMPERATURES, None)
    if temperatures:
        network.description[TEMPERATURES] = values


def _tempered_head(head: nn.Module, temperature: float) -> nn.Module:
    bare = head.head if isinstance(head, TemperedHead) else head
    if temperature == 1.0:
        return bare
    made = TemperedHead(bare, temperature)
    weight = next(bare.parameters(), None)
    return (made if weight is None else made.to(weight.device, weight.dtype)).train(bare.training)
