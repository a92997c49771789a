"""Writer of `.tflite` files: one segment of a network, in floats or in 8-bit integers.

Every operator is one that TensorFlow Lite for Microcontrollers has. Tensors have the order batch, height,
width, channels.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edanas.deploy.int8.layers import UNIT, Layer
from edanas.deploy.int8.part import Int8Part
from edanas.deploy.int8.quantisation import Quantisation, weight_scales
from edanas.deploy.litert_padding import Frame, frame

_VERSION = 3
"""Version of the file format, which its identifier `TFL3` includes."""

Array = npt.NDArray[Any]


class SegmentParts(NamedTuple):
    """The parts of a segment.

    Args:
        stages: The stages in order.
        head: The head after them.
        last: True for the last segment, which returns no features.
    """

    stages: Sequence[Int8Part]
    head: Int8Part
    last: bool


def tflite_bytes(parts: SegmentParts, *, int8: bool) -> bytes:
    """Return the content of a `.tflite` file for one sample.

    Its input is a float32 or int8 tensor: pixels from 0 to 255 in the first segment (in int8, minus 128),
    else the features of the segment before. Its outputs are the features, except in the last segment, and
    the logits.

    Args:
        parts: The parts of the segment, with known ranges for int8.
        int8: True for 8-bit integers, False for float32.
    """
    file = _File(int8=int8)
    first = parts.stages[0]
    features = source = file.features(first, first.graph.inputs[0])
    for part in parts.stages:
        features = file.add_part(part, features)
    logits = file.add_part(parts.head, features)
    return file.content([source], [logits] if parts.last else [features, logits])


class _File:
    """A file in the making."""

    def __init__(self, *, int8: bool) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self.int8 = int8
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[int, int] = {}
        self._buffers: list[Any] = [schema.BufferT()]
        self._stored: dict[tuple[bytes, tuple[int, ...], str], int] = {}

    def add_part(self, part: Int8Part, features: int) -> int:
        """Add the layers of a part that reads the tensor `features`, and return the number of its output."""
        tensors = {part.graph.inputs[0]: features}
        for index, layer in enumerate(part.graph.layers):
            inputs = [tensors[number] for number in layer.reads]
            output = self.features(part, layer.writes)
            tensors[layer.writes] = output
            _LayerWriter(self, part, index, layer, output).write(inputs)
        return tensors[part.graph.outputs[0]]

    def features(self, part: Int8Part, number: int, shape: Sequence[int] | None = None) -> int:
        """Return a new tensor with the scale of tensor `number` and, by default, its shape."""
        sizes = part.graph.shapes[number]
        shape = shape or ((1, *sizes[1:], sizes[0]) if len(sizes) == 3 else (1, *sizes))
        if not self.int8:
            return self._tensor(shape, self.schema.TensorType.FLOAT32)
        return self._tensor(shape, self.schema.TensorType.INT8, [part.quantisation(number)])

    def constant(self, values: Array, scales: Sequence[float] = (), axis: int = 0) -> int:
        """Return a constant tensor; equal constants without scales are stored once."""
        kinds = self.schema.TensorType
        kind = {"float32": kinds.FLOAT32, "int8": kinds.INT8, "int32": kinds.INT32}[values.dtype.name]
        key = values.tobytes(), values.shape, values.dtype.name
        if key in self._stored and not scales:
            return self._stored[key]
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), dtype=np.uint8)
        self._buffers.append(buffer)
        number = self._tensor(values.shape, kind, [Quantisation(scale, 0) for scale in scales], axis)
        self._tensors[number].buffer = len(self._buffers) - 1
        if not scales:
            self._stored[key] = number
        return number

    def operator(self, name: str, inputs: Sequence[int], output: int, kind: str = "", **options: Any) -> None:
        """Add an operator; `kind` and `options` are the class and the fields of its options."""
        schema = self.schema
        code = getattr(schema.BuiltinOperator, name)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault(code, len(self._codes))
        operator.inputs, operator.outputs = list(inputs), [output]
        if kind:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(schema, f"{kind}T")()
            for field, value in options.items():
                setattr(operator.builtinOptions, field, value)
        self._operators.append(operator)

    def content(self, inputs: list[int], outputs: list[int]) -> bytes:
        """Return the content of the file."""
        import flatbuffers

        schema = self.schema
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = inputs, outputs
        model = schema.ModelT()
        model.version, model.description = _VERSION, "edanas"
        model.subgraphs, model.buffers = [graph], self._buffers
        model.operatorCodes = []
        for code in self._codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
            model.operatorCodes.append(entry)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _tensor(
        self, shape: Sequence[int], kind: int, quantisation: Sequence[Quantisation] = (), axis: int = 0
    ) -> int:
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), kind, 0
        tensor.name = f"tensor{len(self._tensors)}"
        if quantisation:
            fields = self.schema.QuantizationParametersT()
            fields.scale = [each.scale for each in quantisation]
            fields.zeroPoint = [each.zero for each in quantisation]
            fields.quantizedDimension = axis
            tensor.quantization = fields
        self._tensors.append(tensor)
        return len(self._tensors) - 1


class _LayerWriter:
    """Writer of the operators of one layer.

    Args:
        file: The file.
        part: The part that the layer belongs to.
        index: Number of the layer in its part.
        layer: The layer.
        output: Number of the file's tensor that the layer writes.
    """

    def __init__(self, file: _File, part: Int8Part, index: int, layer: Layer, output: int) -> None:
        self.file, self.part, self.index, self.layer, self.output = file, part, index, layer, output

    def write(self, inputs: list[int]) -> None:
        """Write the operators, which read the tensors `inputs` of the file."""
        kind = self.layer.kind
        method = getattr(self, f"_{kind}", None)
        if method is not None:
            method(*inputs)
        elif kind in ("add", "mul"):
            options = f"{kind.capitalize()}Options"
            activation = self._activation()
            self.file.operator(kind.upper(), inputs, self.output, options, fusedActivationFunction=activation)
        else:
            self.file.operator(_PLAIN[kind], inputs, self.output)

    @property
    def _bounds(self) -> Any:
        return self.layer.bounds

    def _activation(self) -> int:
        kinds = self.file.schema.ActivationFunctionType
        if self._bounds is None:
            return int(kinds.NONE)
        return int(kinds.RELU6 if self._bounds[1] == 6.0 else kinds.RELU)

    def _clip(self, features: int) -> None:
        self.file.operator("RELU6" if self._bounds[1] == 6.0 else "RELU", [features], self.output)

    def _conv(self, features: int) -> None:
        file, options = self.file, self.layer.options
        kernel, bias = (each.detach().numpy() for each in self.part.weights(self.index))
        shape, groups = self.part.graph.shapes[self.layer.reads[0]], options["groups"]
        depthwise = (groups == shape[0] and groups > 1) or (
            groups == 1 == shape[0] and kernel.shape[2:] == (1, 1)
        )
        edges = frame(
            shape[1:],
            self.part.graph.shapes[self.layer.writes][1:],
            kernel.shape[2:],
            options,
            kernel.size // kernel.shape[2] // kernel.shape[3],
            math.prod(shape),
        )
        kernel = np.pad(kernel, ((0, 0), (0, 0), *((0, more) for more in edges.more_kernel)))
        features = self._padded(features, edges)
        ordered = kernel.transpose(1, 2, 3, 0) if depthwise else kernel.transpose(0, 2, 3, 1)
        inputs = [features, *self._weights(ordered, bias, 3 if depthwise else 0)]
        height, width = options["stride"]
        vertical, horizontal = options["dilation"]
        common = {
            "padding": self._padding(edges),
            "strideH": height,
            "strideW": width,
            "dilationHFactor": vertical,
            "dilationWFactor": horizontal,
            "fusedActivationFunction": self._activation(),
        }
        limited = self.output
        if self._bounds == UNIT and not file.int8:
            limited = file.features(self.part, self.layer.writes)
        if depthwise:
            more = {"depthMultiplier": len(bias) // groups}
            file.operator("DEPTHWISE_CONV_2D", inputs, limited, "DepthwiseConv2DOptions", **common, **more)
        else:
            file.operator("CONV_2D", inputs, limited, "Conv2DOptions", **common)
        if limited != self.output:
            one = file.constant(np.ones(1, dtype=np.float32))
            file.operator("MINIMUM", [limited, one], self.output, "MaximumMinimumOptions")

    def _linear(self, features: int) -> None:
        kernel, bias = (each.detach().numpy() for each in self.part.weights(self.index))
        inputs = [features, *self._weights(kernel, bias, 0)]
        activation = self._activation()
        self.file.operator(
            "FULLY_CONNECTED",
            inputs,
            self.output,
            "FullyConnectedOptions",
            fusedActivationFunction=activation,
        )

    def _weights(self, kernel: Array, bias: Array, axis: int) -> tuple[int, int]:
        """Return the constants of a kernel, whose dimension `axis` has the output channels, and of a bias."""
        if not self.file.int8:
            values = np.ascontiguousarray(kernel, dtype=np.float32)
            return self.file.constant(values), self.file.constant(bias.astype(np.float32))
        scales = weight_scales(self.part.weights(self.index)[0]).numpy()
        by_channel = scales.reshape([-1 if at == axis else 1 for at in range(kernel.ndim)])
        integers = np.rint(kernel / by_channel).clip(-127, 127).astype(np.int8)
        source = self.part.quantisation(self.layer.reads[0]).scale
        bias_scales = (scales.astype(np.float64) * source).astype(np.float32)
        limit = np.iinfo(np.int32)
        numbers = np.rint(bias.astype(np.float64) / bias_scales).clip(limit.min, limit.max).astype(np.int32)
        kernel_number = self.file.constant(np.ascontiguousarray(integers), scales.tolist(), axis)
        return kernel_number, self.file.constant(numbers, bias_scales.tolist())

    def _mean(self, features: int) -> None:
        axes = self.file.constant(np.array([1, 2], dtype=np.int32))
        self.file.operator("MEAN", [features, axes], self.output, "ReducerOptions", keepDims=True)

    def _maxpool(self, features: int) -> None:
        self._pool("MAX_POOL_2D", features)

    def _avgpool(self, features: int) -> None:
        self._pool("AVERAGE_POOL_2D", features)

    def _pool(self, name: str, features: int) -> None:
        options = {**self.layer.options, "dilation": (1, 1)}
        shapes = self.part.graph.shapes
        edges = frame(
            shapes[self.layer.reads[0]][1:], shapes[self.layer.writes][1:], options["kernel"], options
        )
        features = self._padded(features, edges, lowest=name == "MAX_POOL_2D")
        height, width = options["stride"]
        rows, columns = options["kernel"]
        self.file.operator(
            name,
            [features],
            self.output,
            "Pool2DOptions",
            padding=self._padding(edges),
            strideH=height,
            strideW=width,
            filterHeight=rows,
            filterWidth=columns,
        )

    def _padding(self, edges: Frame) -> int:
        kinds = self.file.schema.Padding
        return int(kinds.SAME if edges.same else kinds.VALID)

    def _padded(self, features: int, edges: Frame, *, lowest: bool = False) -> int:
        """Return the features with explicit padding, by zeros or by the lowest value, if it is necessary."""
        if not edges.explicit:
            return features
        sizes = [(0, 0), *edges.explicit, (0, 0)]
        _, height, width, channels = self.file._tensors[features].shape
        shape = (1, height + sum(sizes[1]), width + sum(sizes[2]), channels)
        result = self.file.features(self.part, self.layer.reads[0], shape)
        inputs = [features, self.file.constant(np.array(sizes, dtype=np.int32))]
        if not lowest:
            self.file.operator("PAD", inputs, result, "PadOptions")
            return result
        if self.file.int8:
            quantisation = self.part.quantisation(self.layer.reads[0])
            value = self.file.constant(np.array([-128], dtype=np.int8), [quantisation.scale])
            self.file._tensors[value].quantization.zeroPoint = [quantisation.zero]
        else:
            value = self.file.constant(np.array([np.finfo(np.float32).min], dtype=np.float32))
        self.file.operator("PADV2", [*inputs, value], result, "PadV2Options")
        return result

    def _reshape(self, features: int) -> None:
        shapes = self.part.graph.shapes
        before, after = shapes[self.layer.reads[0]], shapes[self.layer.writes]
        if len(before) == 3 and before[1:] != (1, 1):
            features = self._transposed(features, [0, 3, 1, 2], (1, *before))
        if len(after) == 3 and after[1:] != (1, 1):
            channels_first = self.file.features(self.part, self.layer.writes, (1, *after))
            self._reshaped(features, channels_first)
            order = self.file.constant(np.array([0, 2, 3, 1], dtype=np.int32))
            self.file.operator("TRANSPOSE", [channels_first, order], self.output, "TransposeOptions")
        else:
            self._reshaped(features, self.output)

    def _reshaped(self, features: int, output: int) -> None:
        shape = [int(size) for size in self.file._tensors[output].shape]
        number = self.file.constant(np.array(shape, dtype=np.int32))
        self.file.operator("RESHAPE", [features, number], output, "ReshapeOptions", newShape=shape)

    def _transposed(self, features: int, order: Sequence[int], shape: Sequence[int]) -> int:
        result = self.file.features(self.part, self.layer.reads[0], shape)
        number = self.file.constant(np.array(order, dtype=np.int32))
        self.file.operator("TRANSPOSE", [features, number], result, "TransposeOptions")
        return result

    def _axis(self) -> int:
        """Return the file's number of the dimension in the option `axis`."""
        axis: int = self.layer.options["axis"]
        if len(self.part.graph.shapes[self.layer.writes]) == 1:
            return 1
        return (3, 1, 2)[axis]

    def _concat(self, *inputs: int) -> None:
        self.file.operator("CONCATENATION", inputs, self.output, "ConcatenationOptions", axis=self._axis())

    def _slice(self, features: int) -> None:
        sizes = [int(size) for size in self.file._tensors[self.output].shape]
        begin = [0] * len(sizes)
        begin[self._axis()] = self.layer.options["start"]
        limits = [self.file.constant(np.array(each, dtype=np.int32)) for each in (begin, sizes)]
        self.file.operator("SLICE", [features, *limits], self.output, "SliceOptions")

    def _pad(self, features: int) -> None:
        amounts = self.layer.options["amounts"]
        sizes = [amounts[1], amounts[2], amounts[0]] if len(amounts) == 3 else amounts
        number = self.file.constant(np.array([(0, 0), *sizes], dtype=np.int32))
        self.file.operator("PAD", [features, number], self.output, "PadOptions")


_PLAIN = {"hardswish": "HARD_SWISH", "sigmoid": "LOGISTIC", "tanh": "TANH"}
"""Operators without options and weights."""
