"""Layers of a network as the runtimes of microcontrollers know them, without batch dimension and framework.

Features have three dimensions (C, H, W), also those of 1-D networks, whose height is 1; vectors have one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

Bounds = tuple[float, float]
"""Smallest and largest value that an activation function returns; infinite if it does not limit values."""

SAME_SCALE = ("reshape", "maxpool", "avgpool", "slice", "concat", "pad")
"""Kinds of layers whose output has the scale of their inputs, since they copy or average values."""

FIXED_RANGES: Mapping[str, Bounds] = {"sigmoid": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}
"""Ranges of outputs in 8-bit integers that TensorFlow Lite prescribes, by the kind of the layer."""

UNIT: Bounds = (0.0, 1.0)
"""Bounds of the hard sigmoid."""


@dataclass(frozen=True)
class Weights:
    """The weights of a convolution or a linear layer.

    The layer computes with `gain * kernel` and `gain * bias + shift`.

    Args:
        kernel: (D, C / groups, h, w), or (D, C) in a linear layer.
        bias: (D,).
        gain: (D,) factors of the output channels that stay fixed in training.
        shift: (D,) numbers that are added to the output channels.
        module: Name of the module whose `weight` is the kernel; empty if training cannot change the kernel.
        norm: Name of the BatchNorm module that kernel and bias include; empty without one.
        has_bias: True if the module has a bias.
    """

    kernel: torch.Tensor
    bias: torch.Tensor
    gain: torch.Tensor
    shift: torch.Tensor
    module: str = ""
    norm: str = ""
    has_bias: bool = False

    def scaled(self, factor: torch.Tensor, offset: torch.Tensor) -> "Weights":
        """Return weights for the output `factor` * output + `offset`; both have shape (D,)."""
        return replace(self, gain=self.gain * factor, shift=self.shift * factor + offset)


@dataclass(frozen=True)
class Layer:
    """One layer.

    Args:
        kind: `conv`, `linear`, `add`, `mul`, `clip`, `hardswish`, `sigmoid`, `tanh`, `mean` (over all
            pixels), or a kind of `SAME_SCALE`.
        reads: Numbers of the tensors that it reads.
        writes: Number of the tensor that it writes.
        name: Name of the module that computes it, for messages.
        options: Sizes, by name: `stride`, `padding`, `dilation` and `groups` of a convolution; `kernel`,
            `stride`, `padding` and `ceil` of pooling; `shape`; `axis`, `start` and `end`; `amounts`.
        bounds: Bounds of the activation function that follows in the same layer.
        weights: The weights of a convolution or linear layer, else `None`.
    """

    kind: str
    reads: tuple[int, ...]
    writes: int
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    bounds: Bounds | None = None
    weights: Weights | None = None


@dataclass(frozen=True)
class LayerGraph:
    """The layers between some tensors, in an order in which they can run.

    Args:
        inputs: Numbers of the tensors that come from outside.
        outputs: Numbers of the tensors that are read outside.
        layers: The layers.
        shapes: The shape of each tensor by its number, without batch dimension.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    layers: tuple[Layer, ...]
    shapes: Mapping[int, tuple[int, ...]]

    def scale_groups(self) -> dict[int, int]:
        """Return for each tensor the number of a tensor that stands for all tensors of the same scale."""
        leaders = {number: number for number in self.shapes}

        def leader(number: int) -> int:
            while leaders[number] != number:
                number = leaders[number]
            return number

        for layer in self.layers:
            if layer.kind in SAME_SCALE:
                for number in layer.reads:
                    leaders[leader(number)] = leader(layer.writes)
        return {number: leader(number) for number in self.shapes}
