"""The memory layout that networks compute in."""

import torch
from torch import nn


def grey_in_channels_last(stem: nn.Module) -> None:
    """Let a stem for grey images answer in channels-last, in which CPUs train the rest twice as fast.

    One channel is in both memory layouts at once, and torch then decides by the layout of the weights.
    """
    for weight in stem.parameters():
        if weight.ndim == 4 and weight.shape[1] == 1:
            weight.data = weight.data.clone(memory_format=torch.channels_last)
