"""The exponential moving average of a network's weights, which judges better than the last ones."""

import torch
from torch import nn


class WeightAverage:
    """A running average of a network's parameters; BatchNorm statistics are not averaged.

    The decay grows to its value: after t steps it is at most (1 + t) / (10 + t), so that the first weights
    are soon forgotten (averaging: Polyak and Juditsky, 1992; its warm-up: TensorFlow's
    `ExponentialMovingAverage`).

    Args:
        network: Its parameters are read at each `update`.
        decay: How much of the average stays in a step, from 0 (none is kept) to below 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._weights: list[torch.Tensor] = list(network.parameters())
        self._averages = [weight.detach().clone() for weight in self._weights] if decay else []

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps, counted from 1."""
        if self._averages:
            keep = min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self._averages, self._weights, 1 - keep)

    @torch.no_grad()
    def apply(self) -> None:
        """Give the network the averages for its weights."""
        for weight, average in zip(self._weights, self._averages, strict=False):
            weight.copy_(average)

    def state(self) -> list[torch.Tensor]:
        """The averages, to be kept."""
        return self._averages

    @torch.no_grad()
    def load(self, averages: list[torch.Tensor]) -> None:
        """Take up what `state` gave.

        Raises:
            ValueError: It is of another network or decay.
        """
        if len(averages) != len(self._averages):
            raise ValueError(f"{len(averages)} averages; expected {len(self._averages)}")
        for average, kept in zip(self._averages, averages, strict=True):
            average.copy_(kept)
