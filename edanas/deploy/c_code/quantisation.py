"""Quantisation of a part: operators in floats -> layers with 8-bit integers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edanas.core.errors import ExportError
from edanas.deploy.c_code.fixed_point import HIGH, LOW, Integers, Multiplier, multiplier
from edanas.deploy.c_code.graph import Floats, Op, Part
from edanas.deploy.c_code.layers import (
    LOGIT_BITS,
    Add,
    Bytes,
    Concat,
    Conv,
    Layer,
    Mul,
    Pad,
    Pool,
    Table,
    Tensor,
)
from edanas.deploy.c_code.ranges import Observations, scale_and_zero

_LOGITS = float(1 << LOGIT_BITS)
_FAR = 1e4
_GRID = np.unique(np.concatenate([np.linspace(-12, 12, 4801), [-_FAR, _FAR]]))


@dataclass(frozen=True)
class _Clamp:
    """The limits of a function like ReLU."""

    low: float
    high: float


def quantised_part(
    part: Part, observations: Observations, source: Tensor | None, *, head: bool
) -> tuple[list[Layer], Tensor]:
    """Return the layers of a body or a head, and the tensor of its output.

    Args:
        part: The operators.
        observations: The values of the operators on calibration samples.
        source: The tensor that the part reads; `None` for the network's input.
        head: True if the output is logits with 16 bits.

    Raises:
        ExportError: The sums of a layer need more than 32 bits; the message names the layer.
    """
    quantiser = _Quantiser(part, observations, source, head=head)
    layers = [layer for op in part.ops if (layer := quantiser.layer(op)) is not None]
    if head and quantiser.needs_table:
        layers.append(quantiser.logit_table())
    return layers, quantiser.tensors[part.output]


class _Quantiser:
    """State of the quantisation of one part: the tensor of each operator, and merged operators."""

    def __init__(self, part: Part, observations: Observations, source: Tensor | None, *, head: bool) -> None:
        self.part, self.observations = part, observations
        self.tensors: dict[str, Tensor] = {}
        self.ops = {op.name: op for op in part.ops}
        self.users = Counter(name for op in part.ops for name in op.inputs)
        self.users[part.output] += 1
        self.clamps = self._clamped()
        self.factor = 1.0
        self.needs_table = False
        self.last = self._last_conv() if head else None
        if head and self.last is None:
            self.needs_table = True
        first = part.ops[0]
        self.tensors[first.name] = source or self._observed(first, first.name)

    def _clamped(self) -> dict[str, tuple[str, _Clamp]]:
        """Return operators with a function like ReLU after them: name -> (name of the function, limits)."""
        clamps = {}
        for op in self.part.ops:
            if op.kind != "unary" or op.function is None or self.users[op.inputs[0]] != 1:
                continue
            clamp = _clamp(op.function)
            if clamp is not None and self.ops[op.inputs[0]].kind in ("conv", "add", "mul"):
                clamps[op.inputs[0]] = (op.name, clamp)
        return clamps

    def _last_conv(self) -> str | None:
        """Return the convolution whose sums are the logits, apart from a factor such as a temperature."""
        name = self.part.output
        while (op := self.ops[name]).kind == "unary" and op.function is not None:
            gain = _gain(op.function)
            if gain is None or self.users[op.inputs[0]] != 1:
                return None
            self.factor *= gain
            name = op.inputs[0]
        return name if op.kind == "conv" and name not in self.clamps else None

    def _observed(self, op: Op, name: str) -> Tensor:
        scale, zero = scale_and_zero(*self.observations.range(name))
        return Tensor(op.name, op.shape, scale, zero)

    def _output(self, op: Op) -> tuple[Tensor, int, int]:
        """Return the output tensor of an operator, merged with a following clamp, and its limits."""
        name, clamp = self.clamps.get(op.name, (op.name, _Clamp(-_FAR, _FAR)))
        tensor = self._observed(op, name)
        self.tensors[op.name] = self.tensors[name] = tensor
        low = max(LOW, round(clamp.low / tensor.scale) + tensor.zero) if clamp.low > -_FAR else LOW
        high = min(HIGH, round(clamp.high / tensor.scale) + tensor.zero) if clamp.high < _FAR else HIGH
        return tensor, low, max(low, high)

    def layer(self, op: Op) -> Layer | None:
        """Return the layer of an operator; `None` for the input and merged operators."""
        if op.name in self.tensors:
            return None
        inputs = tuple(self.tensors[name] for name in op.inputs)
        if self.last is not None and op.name != self.last and inputs[0].name == self.last:
            self.tensors[op.name] = inputs[0]  # a factor of the logits
            return None
        try:
            layer: Layer = getattr(self, f"_{op.kind}")(op, inputs)
        except ValueError as error:
            raise ExportError(f"layer {op.layer}: cannot be expressed with 8 bits: {error}") from error
        self.tensors[op.name] = layer.output
        return layer

    def _conv(self, op: Op, inputs: tuple[Tensor, ...]) -> Conv:
        numbers, source, logits = op.numbers, inputs[0], op.name == self.last
        weight, bias = (numbers[name] * (self.factor if logits else 1.0) for name in ("weight", "bias"))
        if logits:
            output, low, high = Tensor(op.name, op.shape, 1 / _LOGITS, 0), -(1 << 15), (1 << 15) - 1
        else:
            output, low, high = self._output(op)
        integers, offsets, scales = _quantised_weights(weight, bias, source)
        multipliers = tuple(multiplier(source.scale * scale / output.scale) for scale in scales)
        return Conv(
            inputs,
            output,
            weight=integers.transpose(0, 2, 3, 1),
            bias=offsets,
            multipliers=multipliers,
            stride=numbers["stride"],
            pad=numbers["pad"],
            dilation=numbers["dilation"],
            groups=numbers["groups"],
            low=low,
            high=high,
            logits=logits,
        )

    def _mean(self, op: Op, inputs: tuple[Tensor, ...]) -> Pool:
        output = self._observed(op, op.name)
        factor = multiplier(inputs[0].scale / output.scale)
        sizes = max(row.size for row in op.numbers["rows"]) * max(each.size for each in op.numbers["columns"])
        if sizes << factor.shift >= 1 << 62 or sizes > 1 << 22:
            raise ValueError(f"a mean over {sizes} pixels")
        return Pool(inputs, output, tuple(op.numbers["rows"]), tuple(op.numbers["columns"]), factor)

    def _max(self, op: Op, inputs: tuple[Tensor, ...]) -> Pool:
        output = Tensor(op.name, op.shape, inputs[0].scale, inputs[0].zero)
        return Pool(inputs, output, tuple(op.numbers["rows"]), tuple(op.numbers["columns"]), None)

    def _add(self, op: Op, inputs: tuple[Tensor, ...]) -> Add:
        output, low, high = self._output(op)
        factors = [each.scale / output.scale for each in inputs]
        shift = min(62, multiplier(max(factors)).shift - 1)
        values = [Multiplier(round(factor * 2.0**shift), shift) for factor in factors]
        return Add(inputs, output, (values[0], values[1]), low, high)

    def _mul(self, op: Op, inputs: tuple[Tensor, ...]) -> Mul:
        output, low, high = self._output(op)
        return Mul(inputs, output, multiplier(inputs[0].scale * inputs[1].scale / output.scale), low, high)

    def _unary(self, op: Op, inputs: tuple[Tensor, ...]) -> Table:
        output = self._observed(op, op.name)
        assert op.function is not None  # noqa: S101 - for the type checker
        values = op.function(_real_numbers(inputs[0]))
        return Table(inputs, output, _numbers(values, output))

    def _concat(self, op: Op, inputs: tuple[Tensor, ...]) -> Concat:
        output = self._observed(op, op.name)
        return Concat(inputs, output, tuple(_numbers(_real_numbers(each), output) for each in inputs))

    def _pad(self, op: Op, inputs: tuple[Tensor, ...]) -> Pad:
        return Pad(inputs, Tensor(op.name, op.shape, inputs[0].scale, inputs[0].zero), op.numbers["pad"])

    def logit_table(self) -> Table:
        """Return the table from the 8-bit output of the part to logits of 16 bits."""
        source = self.tensors[self.part.output]
        values = np.clip(np.round(_real_numbers(source) * _LOGITS), -(1 << 15), (1 << 15) - 1)
        output = Tensor(f"{source.name}_logits", source.shape, 1 / _LOGITS, 0)
        self.tensors[self.part.output] = output
        return Table((source,), output, values.astype(np.int16))


def _quantised_weights(weight: Floats, bias: Floats, source: Tensor) -> tuple[Bytes, Integers, Floats]:
    """Return weights (O, I, KH, KW) int8, biases (O,) and the scale (O,) of each output channel.

    Raises:
        ValueError: A sum may need more than 32 bits.
    """
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    # A channel with small weights and a large bias gets coarser weights, so that the bias fits.
    scales = np.maximum(np.maximum(largest / 127, np.abs(bias) / (source.scale * (1 << 29))), 1e-30)
    integers = np.round(weight / scales[:, None, None, None]).astype(np.int8)
    offsets = np.round(bias / (source.scale * scales)).astype(np.int64)
    span = max(HIGH - source.zero, source.zero - LOW)
    sums = np.abs(integers.astype(np.int64)).reshape(len(integers), -1).sum(axis=1) * span + np.abs(offsets)
    if sums.max() >= 1 << 31:
        raise ValueError(f"its sums reach {sums.max()}; allowed: up to {(1 << 31) - 1}")
    return integers, offsets, scales


def _real_numbers(tensor: Tensor) -> Floats:
    """Return the real number of each of the 256 numbers of a tensor, ascending."""
    return np.arange(LOW - tensor.zero, HIGH + 1 - tensor.zero, dtype=np.float64) * tensor.scale


def _numbers(values: Floats, tensor: Tensor) -> Bytes:
    """Return the nearest numbers of a tensor for real numbers."""
    if np.isnan(values).any():
        raise ValueError("its function is not defined for all numbers that the calibration samples reach")
    return np.clip(np.round(values / tensor.scale) + tensor.zero, LOW, HIGH).astype(np.int8)


def _clamp(function: Mapping[str, object] | object) -> _Clamp | None:
    """Return the limits of a function that only limits numbers; `None` for any other function."""
    values: npt.NDArray[np.float64] = function(_GRID)  # type: ignore[operator]
    if np.isnan(values).any():
        return None
    low, high = float(values.min()), float(values.max())
    return _Clamp(low, high) if np.allclose(values, np.clip(_GRID, low, high), atol=1e-4) else None


def _gain(function: object) -> float | None:
    """Return the factor of a function that multiplies by a number; `None` for any other function."""
    values: npt.NDArray[np.float64] = function(_GRID)  # type: ignore[operator]
    gain = float(values[-1] / _GRID[-1])
    return gain if np.allclose(values, gain * _GRID, rtol=1e-4, atol=1e-5) else None
