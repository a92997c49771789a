"""A part of a network that computes as its 8-bit integers would, in floats that stand for integers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from edanas.deploy.int8.fusing import limited
from edanas.deploy.int8.layers import FIXED_RANGES, UNIT, Layer, LayerGraph, Weights
from edanas.deploy.int8.quantisation import Quantisation, rounded_bias, rounded_weights, weight_scales

Options = Mapping[str, Any]
"""Sizes of a layer; see `Layer`."""

Mode = Literal["float32", "observe", "int8"]
"""Computation of a part: in floats; in floats while it records ranges; with rounding to integers."""


class Int8Part(nn.Module):
    """The layers of a stage or a head.

    In the mode `int8`, every tensor and every kernel has the values that its integers stand for. Gradients
    pass through the rounding, so that the part can be trained (straight-through estimator; Bengio, Leonard
    and Courville, 2013).

    Args:
        graph: The layers, with one input and one output.
    """

    def __init__(self, graph: LayerGraph) -> None:
        super().__init__()
        self.graph = graph
        self.mode: Mode = "float32"
        self.groups = graph.scale_groups()
        self.ranges: dict[int, tuple[float, float]] = {}
        """Smallest and largest value of each group of tensors by its number."""
        self.kernels, self.biases = nn.ParameterDict(), nn.ParameterDict()
        for index, layer in enumerate(graph.layers):
            if layer.weights is not None:
                self._add_weights(index, layer.weights)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the output of the layers."""
        (source,), (result,) = self.graph.inputs, self.graph.outputs
        flat = features.ndim == 3
        values = {source: self._stored(source, features.unsqueeze(2) if flat else features)}
        for index, layer in enumerate(self.graph.layers):
            inputs = [values[number] for number in layer.reads]
            output = self._computed(index, layer, inputs)
            values[layer.writes] = self._stored(layer.writes, limited(output, layer))
        final = values[result]
        return final.squeeze(2) if flat and final.ndim == 4 else final

    def _add_weights(self, index: int, weights: Weights) -> None:
        # A module that runs twice has one kernel, which two layers cannot train.
        users = [each for each in self.graph.layers if each.weights and each.weights.module == weights.module]
        trains = bool(weights.module) and len(users) == 1
        has_bias = trains and (weights.has_bias or bool(weights.norm))
        self.kernels[str(index)] = nn.Parameter(weights.kernel.clone(), requires_grad=trains)
        self.biases[str(index)] = nn.Parameter(weights.bias.clone(), requires_grad=has_bias)
        self.register_buffer(f"gain{index}", weights.gain)
        self.register_buffer(f"shift{index}", weights.shift)

    def weights(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the kernel and the bias with which layer number `index` computes, before rounding."""
        gain, shift = getattr(self, f"gain{index}"), getattr(self, f"shift{index}")
        kernel = self.kernels[str(index)]
        return kernel * gain.view(-1, *[1] * (kernel.ndim - 1)), self.biases[str(index)] * gain + shift

    def quantisation(self, number: int) -> Quantisation:
        """Return scale and zero point of a tensor.

        Raises:
            KeyError: No range is known, since the part has not observed any sample.
        """
        return Quantisation.of_range(*self.ranges[self.groups[number]])

    def fix_ranges(self) -> None:
        """Set the ranges that do not depend on samples."""
        for layer in self.graph.layers:
            fixed = UNIT if layer.bounds == UNIT else FIXED_RANGES.get(layer.kind)
            if fixed is not None:
                self.ranges[self.groups[layer.writes]] = fixed

    def widen(self, number: int, low: float, high: float) -> None:
        """Widen the range of a tensor to include `low` and `high`."""
        before = self.ranges.get(self.groups[number], (0.0, 0.0))
        self.ranges[self.groups[number]] = min(before[0], low), max(before[1], high)

    def _stored(self, number: int, values: torch.Tensor) -> torch.Tensor:
        """Return values as they are in memory: rounded in the mode `int8`."""
        if self.mode == "int8":
            return self.quantisation(number).rounded(values)
        if self.mode == "observe":
            self.widen(number, float(values.detach().amin()), float(values.detach().amax()))
        return values

    def _computed(self, index: int, layer: Layer, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        if layer.kind == "conv":
            return _convolve(self, index, *inputs)
        if layer.kind == "linear":
            return F.linear(inputs[0], *self._used_weights(index))
        if layer.kind == "reshape":
            return inputs[0].reshape(-1, *self.graph.shapes[layer.writes])
        return _PLAIN[layer.kind](layer.options, *inputs)

    def _used_weights(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        kernel, bias = self.weights(index)
        if self.mode != "int8":
            return kernel, bias
        source = self.quantisation(self.graph.layers[index].reads[0]).scale
        return rounded_weights(kernel), rounded_bias(bias, weight_scales(kernel) * source)


def _convolve(part: Int8Part, index: int, features: torch.Tensor) -> torch.Tensor:
    kernel, bias = part._used_weights(index)
    options = part.graph.layers[index].options
    return F.conv2d(
        features, kernel, bias, options["stride"], options["padding"], options["dilation"], options["groups"]
    )


def _pool(pool: Callable[..., torch.Tensor], options: Options, features: torch.Tensor) -> torch.Tensor:
    sizes = options["kernel"], options["stride"], options["padding"], options["ceil"]
    return pool(features, *sizes)


def _maximum(features: torch.Tensor, kernel: Any, stride: Any, padding: Any, ceil: Any) -> torch.Tensor:
    return F.max_pool2d(features, kernel, stride, padding, ceil_mode=ceil)


def _average(features: torch.Tensor, kernel: Any, stride: Any, padding: Any, ceil: Any) -> torch.Tensor:
    return F.avg_pool2d(features, kernel, stride, padding, ceil_mode=ceil, count_include_pad=False)


def _slice(options: Options, features: torch.Tensor) -> torch.Tensor:
    return features.narrow(1 + options["axis"], options["start"], options["end"] - options["start"])


def _pad(options: Options, features: torch.Tensor) -> torch.Tensor:
    return F.pad(features, [size for sizes in reversed(options["amounts"]) for size in sizes])


_PLAIN: Mapping[str, Callable[..., torch.Tensor]] = {
    "add": lambda _, a, b: a + b,
    "mul": lambda _, a, b: a * b,
    "clip": lambda _, x: x,
    "hardswish": lambda _, x: F.hardswish(x),
    "sigmoid": lambda _, x: x.sigmoid(),
    "tanh": lambda _, x: x.tanh(),
    "mean": lambda _, x: x.mean((2, 3), keepdim=True),
    "maxpool": lambda options, x: _pool(_maximum, options, x),
    "avgpool": lambda options, x: _pool(_average, options, x),
    "slice": lambda options, x: x.narrow(
        1 + options["axis"], options["start"], options["end"] - options["start"]
    ),
    "pad": _pad,
    "concat": lambda options, *xs: torch.cat(xs, dim=1 + options["axis"]),
}
"""The computation of layers without weights: options and inputs -> output."""
