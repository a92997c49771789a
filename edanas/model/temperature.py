"""Temperature scaling of a network: each exit's logits are divided by its temperature.

Predictions do not change, unless rounding makes two logits equal.

Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, section 4.2.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from edanas.core.contracts import ExitNetwork

TEMPERATURES = "temperatures"
"""Key of a network's description for its temperatures: one for each head, then one for the last exit."""


class TemperedHead(nn.Module):
    """A head whose logits are divided by a temperature.

    The temperature is not folded into the last layer: a plugin's head need not end in a linear layer, and
    divided weights round differently from divided logits.

    Args:
        head: Module that computes logits (B, K) from features.
        temperature: Divisor of the logits, above 0.

    Example:
        >>> TemperedHead(nn.Identity(), 2.0)(torch.tensor([[1.0, 3.0]]))
        tensor([[0.5000, 1.5000]])
    """

    temperature: torch.Tensor

    def __init__(self, head: nn.Module, temperature: float) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("temperature", torch.tensor(temperature))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, K) of features, divided by the temperature."""
        logits: torch.Tensor = self.head(features)
        return logits / self.temperature


def apply_temperatures(network: ExitNetwork, temperatures: Sequence[float]) -> None:
    """Set the temperatures of a network, by which the logits of its exits are divided.

    The temperatures replace earlier temperatures of the network. The network's description records them, so
    that `edanas.load` sets them again.

    Args:
        network: The network, whose heads are changed in place.
        temperatures: One number above 0 for each exit with a head, by exit point, then one for the last exit.
            An empty sequence removes all temperatures.

    Raises:
        ValueError: The number of temperatures differs from the number of exits, or a temperature is not a
            finite number above 0.
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
    """Return a head whose logits are divided by `temperature`; an earlier temperature is removed."""
    bare = head.head if isinstance(head, TemperedHead) else head
    if temperature == 1.0:
        return bare
    tempered = TemperedHead(bare, temperature)
    weight = next(bare.parameters(), None)
    return (tempered if weight is None else tempered.to(weight.device, weight.dtype)).train(bare.training)
