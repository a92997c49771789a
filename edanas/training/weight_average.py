"""The exponential moving average of a network's weights, usually more accurate than the last weights."""

import torch
from torch import nn


class WeightAverage:
    """A running average of a network's parameters; BatchNorm statistics are not averaged.

    Averaging is due to Polyak and Juditsky, 1992. After t steps the decay is at most (1 + t) / (10 + t), so
    that the first weights soon lose their influence (as in TensorFlow's `ExponentialMovingAverage`).

    Args:
        network: The network, whose parameters are read at each `update`.
        decay: Share of the average that a step retains, from 0 (no averaging) to below 1.

    Example:
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.constant_(layer.weight, 0.0)
        >>> average = WeightAverage(layer, decay=0.9)
        >>> _ = nn.init.constant_(layer.weight, 1.0)
        >>> average.update(step=1)
        >>> average.apply()
        >>> round(layer.weight.item(), 4)
        0.8182
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._weights: list[torch.Tensor] = list(network.parameters())
        self._averages = [weight.detach().clone() for weight in self._weights] if decay else []

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average with the weights after `step` steps, counted from 1."""
        if self._averages:
            decay = min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self._averages, self._weights, 1 - decay)

    @torch.no_grad()
    def apply(self) -> None:
        """Copy the averages into the network's weights."""
        for weight, average in zip(self._weights, self._averages, strict=False):
            weight.copy_(average)

    def state(self) -> list[torch.Tensor]:
        """Return the averages, for a checkpoint."""
        return self._averages

    @torch.no_grad()
    def load(self, averages: list[torch.Tensor]) -> None:
        """Restore the averages that `state` returned.

        Raises:
            ValueError: The number of tensors differs, so they are of another network or decay.
        """
        if len(averages) != len(self._averages):
            raise ValueError(f"{len(averages)} averages; expected {len(self._averages)}")
        for average, stored in zip(self._averages, averages, strict=True):
            average.copy_(stored)
