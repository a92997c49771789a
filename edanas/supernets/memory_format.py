"""Memory format of features, which affects the speed of training on CPUs."""

import torch
from torch import nn


def grey_in_channels_last(stem: nn.Module) -> None:
    """Convert the weights of a stem for grey images to channels-last; leave other stems unchanged.

    Training on CPUs is twice as fast with channels-last features. A grey image has both memory formats at
    once, so torch returns features in the memory format of the weights.

    Args:
        stem: The module with the first convolution; it is changed in place.
    """
    for weight in stem.parameters():
        if weight.ndim == 4 and weight.shape[1] == 1:
            weight.data = weight.data.clone(memory_format=torch.channels_last)
