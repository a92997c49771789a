"""Factors and offsets of an exit's logits, folded into the last linear layer of its head."""

from collections.abc import Sequence

import torch
from torch import nn

from edanas.core.contracts import ExitNetwork, Rescaling


def last_linear(head: nn.Module) -> nn.Linear | None:
    """Return the linear layer that ends a head; `None` if the head ends otherwise.

    Example:
        >>> last_linear(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
        Linear(in_features=4, out_features=2, bias=True)
        >>> last_linear(nn.Sequential(nn.Linear(4, 2), nn.ReLU()))
    """
    while isinstance(head, nn.Sequential) and len(head):
        head = head[-1]
    return head if isinstance(head, nn.Linear) and head.bias is not None else None


def can_rescale(network: ExitNetwork) -> bool:
    """Return True if each early exit's head ends with a linear layer of its own."""
    layers = [last_linear(head) for head in network.heads.values()]
    return None not in layers and len(set(map(id, layers))) == len(layers)


@torch.no_grad()
def fold(network: ExitNetwork, rescalings: Sequence[Rescaling]) -> None:
    """Multiply the logits of each early exit by factors, and add offsets, by changing the last layers.

    Args:
        network: A network for which `can_rescale` is true; changed in place.
        rescalings: Factors and offsets for each head, by exit point.
    """
    for head, rescaling in zip(network.heads.values(), rescalings, strict=True):
        layer = last_linear(head)
        if layer is None:
            raise ValueError("a head does not end with a linear layer")
        factors, offsets = (layer.weight.new_tensor(each) for each in rescaling)
        layer.weight.mul_(factors[:, None])
        layer.bias.mul_(factors).add_(offsets)
