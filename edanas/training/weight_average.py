"""Exponential moving average of a network's weights, which is usually more accurate than the last weights."""

import copy

import torch
from torch import nn


class WeightAverage:
    """Exponential moving average of a network's parameters; BatchNorm statistics are not averaged.

    The average at step t is `d * average + (1 - d) * weights` with d = min(decay, (1 + t) / (10 + t)). The
    second limit reduces the influence of the first weights, as in TensorFlow's `ExponentialMovingAverage`.
    Averaging is due to Polyak and Juditsky, 1992.

    Args:
        network: The network whose parameters are averaged.
        decay: Weight of the previous average in a step, from 0 to below 1; 0 turns averaging off.

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
        """Update the average with the current weights; `step` is the number of completed steps, from 1."""
        if self._averages:
            decay = min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self._averages, self._weights, 1 - decay)

    def apply(self) -> None:
        """Replace the network's weights with the averages; without averaging, nothing changes."""
        self._copy_to(self._weights)

    def averaged_copy(self, network: nn.Module) -> nn.Module:
        """Return a copy of the network, with the averages as its weights."""
        duplicate = copy.deepcopy(network)
        self._copy_to(list(duplicate.parameters()))
        return duplicate

    @torch.no_grad()
    def _copy_to(self, weights: list[torch.Tensor]) -> None:
        for weight, average in zip(weights, self._averages, strict=False):
            weight.copy_(average)

    def state(self) -> list[torch.Tensor]:
        """Return the averages of all parameters in order, for a checkpoint; empty without averaging."""
        return self._averages

    @torch.no_grad()
    def load(self, averages: list[torch.Tensor]) -> None:
        """Restore the averages that `state` returned.

        Raises:
            ValueError: The number of tensors is wrong: the tensors belong to another network, or were stored
                with another setting of averaging.
        """
        if len(averages) != len(self._averages):
            raise ValueError(
                f"found {len(averages)} averaged tensors; expected {len(self._averages)}; the checkpoint "
                "belongs to another network, or was written with another setting of weight averaging"
            )
        for average, stored in zip(self._averages, averages, strict=True):
            average.copy_(stored)
