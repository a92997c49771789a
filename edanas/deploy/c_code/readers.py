"""Reader of torch's operators: each becomes an `Op` of the export to C, or an error that names the layer."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx

from edanas.core.errors import ExportError
from edanas.deploy.c_code.graph import Floats, Op, Part, Shape, shape_of
from edanas.deploy.c_code.windows import Window, adaptive_windows, pooling_windows

_UNARY = (
    *("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "hardswish", "hardsigmoid", "sigmoid"),
    *("silu", "gelu", "tanh", "elu", "selu", "leaky_relu", "mish", "softplus", "hardshrink", "softsign"),
    *("abs", "neg", "square", "sqrt", "exp", "log_sigmoid", "pow", "threshold", "celu", "sign"),
)
_SAME = ("clone", "contiguous", "detach", "alias", "dropout", "to", "_to_copy", "lift_fresh_copy", "identity")
_COPIES = ("clone", "_to_copy")
_RESHAPES = ("view", "reshape", "flatten", "squeeze", "unsqueeze", "_unsafe_view", "unflatten")
_BINARY = ("add", "sub", "mul", "div")

ALLOWED = (
    "convolutions, linear layers, BatchNorm, average and max pooling, means over pixels, sums, products, "
    "concatenation of channels, zero padding, and functions of single numbers such as hard-swish"
)
"""The layers that the export to C expresses, for messages."""


def read_part(module: fx.GraphModule, prefix: str, rename: Callable[[str], str]) -> Part:
    """Return the operators of a traced module.

    The `numbers` of an operator by its kind: `conv` has `weight` (O, I, KH, KW), `bias` (O,), `stride`,
    `pad` (top, left), `dilation` and `groups`; `mean` and `max` have `rows` and `columns`, a `Window` for
    each row and column of the result; `pad` has `pad` (top, left). A linear layer is a convolution with a
    kernel of the size of the features.

    Args:
        module: The result of `traced`.
        prefix: First part of the operators' names.
        rename: Turns the path of a module into the layer's name in messages.

    Raises:
        ExportError: An operator has no counterpart in C; the message names the layer.
    """
    reader = _Reader(module, prefix, rename)
    for node in module.graph.nodes:
        reader.read(node)
    return Part(module, tuple(reader.ops.values()), reader.output, prefix)


class _Reader:
    """State of a reading: operators by name, constants and the operator that stands for each node."""

    def __init__(self, module: fx.GraphModule, prefix: str, rename: Callable[[str], str]) -> None:
        self.module, self.prefix, self.rename = module, prefix, rename
        self.ops: dict[str, Op] = {}
        self.output = ""
        self._constants: dict[fx.Node, torch.Tensor] = {}
        self._results: dict[fx.Node, str] = {}
        self._flat: set[fx.Node] = set()
        self._copies: set[fx.Node] = set()
        self._first: set[fx.Node] = set()

    def read(self, node: fx.Node) -> None:
        if node.op == "get_attr":
            self._constants[node] = _attribute(self.module, str(node.target))
        elif node.op == "placeholder":
            self._put(node, "input", ())
        elif node.op == "output":
            (result,) = node.args[0] if isinstance(node.args[0], tuple | list) else (node.args[0],)
            self.output = self._results[result]  # type: ignore[index]
            if result in self._flat:
                raise self._refusal(node, "flattened pixels as the result")
        elif node.op == "call_function" and (node.users or node.meta.get("val") is not None):
            self._read_call(node)

    def _read_call(self, node: fx.Node) -> None:
        if _base_name(node) == "getitem" and not node.users:
            return  # positions of a maximum, which no layer reads
        tensors = [each for each in node.all_input_nodes if each not in self._constants]
        if set(tensors) & self._first and _base_name(node) not in (*_SAME, "linear", "dropout_"):
            raise self._refusal(node, f"operator `{_base_name(node)}` of a slice of channels")
        if not tensors:
            if node.users:
                self._constants[node] = _evaluated(node, self._constants, {})
            return
        name = _base_name(node)
        before = self._results.get(tensors[0], "")
        self._read_operator(node, name.removesuffix("_"), tensors)
        if name.endswith("_"):
            self._overwrite(before, self._results[node])

    def _overwrite(self, before: str, after: str) -> None:
        """Let all names of a tensor stand for the result of an in-place operator on it."""
        for node, name in self._results.items():
            if name == before and node not in self._copies:
                self._results[node] = after

    def _read_operator(self, node: fx.Node, name: str, tensors: Sequence[fx.Node]) -> None:
        if (name == "getitem" and node.args[1] == 0) or name in _SAME:
            self._same(node, tensors[0])
        elif name in _RESHAPES:
            self._reshape(node, tensors[0])
        elif name in _UNARY:
            self._unary(node, tensors[0])
        elif name in _BINARY:
            self._binary(node, name, tensors)
        elif (reader := getattr(self, f"_read_{name}", None)) is not None:
            reader(node, _arguments(node), tensors)
        else:
            raise self._refusal(node, f"operator `{name}`")

    def _put(self, node: fx.Node, kind: str, inputs: Sequence[fx.Node], **fields: Any) -> None:
        name = f"{self.prefix}_{node.name}"
        function = fields.pop("function", None)
        shape = fields.pop("shape", None) or shape_of(_value(node), self._layer(node))
        sources = tuple(self._results[each] for each in inputs)
        self.ops[name] = Op(name, kind, sources, shape, self._layer(node), fields, function)
        self._results[node] = name

    def _layer(self, node: fx.Node) -> str:
        stack = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values() if path]
        return self.rename(stack[-1] if stack else "")

    def _refusal(self, node: fx.Node, what: str) -> ExportError:
        return ExportError(
            f"layer {self._layer(node)}: found {what}, which C cannot express; allowed: {ALLOWED}"
        )

    def _shape(self, node: fx.Node) -> Shape:
        return self.ops[self._results[node]].shape

    def _constant(self, value: Any) -> Floats | None:
        if not isinstance(value, fx.Node):
            return None
        if value not in self._constants:
            raise self._refusal(value, "weights that depend on the features")
        return self._constants[value].detach().double().numpy()

    def _same(self, node: fx.Node, source: fx.Node) -> None:
        if _value(node).shape != _value(source).shape:
            raise self._refusal(node, f"operator `{_base_name(node)}`")
        self._results[node] = self._results[source]
        if source in self._flat:
            self._flat.add(node)
        if source in self._first:
            self._first.add(node)
        if _base_name(node) in _COPIES or source in self._copies:
            self._copies.add(node)

    def _reshape(self, node: fx.Node, source: fx.Node) -> None:
        """Read an operator that moves no number: the sizes of 1 change, or pixels become a vector."""
        before, after = self._shape(source), shape_of(_value(node), self._layer(node))
        flattens = after == (1, 1, before[0] * before[1] * before[2])
        if source in self._flat or not (
            flattens or after == before or sorted(after[:2]) == sorted(before[:2])
        ):
            raise self._refusal(node, f"features of shape {before[::-1]} that become {after[::-1]}")
        if not flattens and (after[2] != before[2] or (after[:2] != before[:2] and 1 not in before[:2])):
            raise self._refusal(node, f"features of shape {before[::-1]} that become {after[::-1]}")
        self._results[node] = self._results[source]
        if flattens and before[:2] != (1, 1):
            self._flat.add(node)

    def _read_slice(self, node: fx.Node, args: dict[str, Any], tensors: Sequence[fx.Node]) -> None:
        """Read a slice of the first channels, whose reader then has weights of 0 for the other channels."""
        (source,) = tensors
        if _value(node).shape == _value(source).shape:
            self._same(node, source)
            return
        if args["dim"] != 1 or args["start"] or args["step"] != 1 or source in self._flat:
            raise self._refusal(node, "a slice of other numbers than the first channels")
        self._results[node] = self._results[source]
        self._first.add(node)

    def _all_channels(self, weight: Floats, source: fx.Node) -> Floats:
        """Return weights (O, I, ...) with weights of 0 for the channels that a slice leaves out."""
        if source not in self._first:
            return weight
        more = self._shape(source)[2] - weight.shape[1]
        return np.pad(weight, [(0, 0), (0, more), *[(0, 0)] * (weight.ndim - 2)])

    def _unary(self, node: fx.Node, source: fx.Node) -> None:
        constants = self._constants

        def function(numbers: Floats) -> Floats:
            tensor = torch.from_numpy(numbers.astype(np.float32))
            return _evaluated(node, constants, {source: tensor}).double().numpy()

        self._put(node, "unary", (source,), function=function, shape=self._shape(source))
        if source in self._flat:
            self._flat.add(node)

    def _binary(self, node: fx.Node, name: str, tensors: Sequence[fx.Node]) -> None:
        if self._flat & set(tensors):
            raise self._refusal(node, "a sum or product of flattened pixels")
        if node.kwargs.get("alpha", 1) != 1 or node.kwargs.get("rounding_mode") is not None:
            raise self._refusal(node, f"operator `{name}` with options")
        if len(tensors) == 2 and name in ("add", "mul"):
            self._two_tensors(node, name, tensors)
            return
        if len(tensors) != 1 or (
            len(node.all_input_nodes) == 1 and list(node.args[:2]).count(tensors[0]) == 2
        ):
            raise self._refusal(node, f"operator `{name}` of two features")
        other = next(each for each in node.args[:2] if each is not tensors[0])
        constant = self._constant(other)
        if constant is None or constant.size == 1:
            self._unary(node, tensors[0])
            return
        channels = self._shape(tensors[0])[2]
        if (node.args[0] is not tensors[0] and name in ("sub", "div")) or constant.size != channels:
            raise self._refusal(node, f"operator `{name}` with {constant.size} constants")
        gain, offset = np.ones(channels), np.zeros(channels)
        if name in ("add", "sub"):
            offset = constant.ravel() * (1 if name == "add" else -1)
        else:
            gain = constant.ravel() if name == "mul" else 1 / constant.ravel()
        self._affine(node, tensors[0], gain, offset)

    def _two_tensors(self, node: fx.Node, name: str, tensors: Sequence[fx.Node]) -> None:
        first, second = sorted(tensors, key=lambda each: -int(np.prod(self._shape(each))))
        large, small = self._shape(first), self._shape(second)
        if small not in (large, (1, 1, large[2])):
            raise self._refusal(node, f"features of shapes {large[::-1]} and {small[::-1]} in one `{name}`")
        self._put(node, name, (first, second))

    def _affine(self, node: fx.Node, source: fx.Node, gain: Floats, offset: Floats) -> None:
        """Put a depthwise 1x1 convolution: channel c becomes gain[c] * x + offset[c]."""
        channels = len(gain)
        sizes = {"stride": (1, 1), "pad": (0, 0), "dilation": (1, 1), "groups": channels}
        self._put(node, "conv", (source,), weight=gain.reshape(channels, 1, 1, 1), bias=offset, **sizes)

    def _read_batch_norm(self, node: fx.Node, args: dict[str, Any], tensors: Sequence[fx.Node]) -> None:
        mean, var, weight, bias = (
            self._constant(args[name]) for name in ("running_mean", "running_var", "weight", "bias")
        )
        if mean is None or var is None:
            raise self._refusal(node, "BatchNorm without statistics")
        gain = (np.ones_like(mean) if weight is None else weight) / np.sqrt(var + args["eps"])
        self._affine(node, tensors[0], gain, (0.0 if bias is None else bias) - mean * gain)

    _read__native_batch_norm_legit_no_training = _read_batch_norm

    def _read_conv2d(self, node: fx.Node, args: dict[str, Any], tensors: Sequence[fx.Node]) -> None:
        weight = self._constant(args["weight"])
        if weight is None or tensors[0] in self._flat or args["input"] is not tensors[0]:
            raise self._refusal(node, "a convolution with features as weights")
        weight = weight[:, :, None] if weight.ndim == 3 else weight
        stride, dilation = _pair(args["stride"]), _pair(args["dilation"])
        padding = args["padding"]
        if padding == "valid":
            padding = (0, 0)
        elif padding == "same":
            padding = tuple(d * (k - 1) // 2 for d, k in zip(dilation, weight.shape[2:], strict=True))
        bias = self._constant(args["bias"])
        self._put(
            node,
            "conv",
            (tensors[0],),
            weight=weight,
            bias=np.zeros(len(weight)) if bias is None else bias,
            stride=stride,
            pad=_pair(padding, first=0),
            dilation=dilation,
            groups=int(args["groups"]),
        )

    _read_conv1d = _read_conv2d

    def _read_linear(self, node: fx.Node, args: dict[str, Any], tensors: Sequence[fx.Node]) -> None:
        weight, bias = self._constant(args["weight"]), self._constant(args["bias"])
        if weight is None or _value(tensors[0]).ndim != 2:
            raise self._refusal(node, f"a linear layer of features of {_value(tensors[0]).ndim} dimensions")
        height, width, channels = self._shape(tensors[0])
        weight = self._all_channels(weight, tensors[0])
        sizes = {"stride": (1, 1), "pad": (0, 0), "dilation": (1, 1), "groups": 1}
        kernel = weight.reshape(len(weight), channels, height, width)
        self._put(
            node,
            "conv",
            (tensors[0],),
            weight=kernel,
            bias=np.zeros(len(weight)) if bias is None else bias,
            **sizes,
        )

    def _pool(
        self, node: fx.Node, kind: str, source: fx.Node, rows: list[Window], columns: list[Window]
    ) -> None:
        if source in self._flat:
            raise self._refusal(node, "pooling of flattened pixels")
        shape = len(rows), len(columns), self._shape(source)[2]
        self._put(node, kind, (source,), rows=rows, columns=columns, shape=shape)

    def _read_avg_pool2d(self, node: fx.Node, args: dict[str, Any], tensors: Sequence[fx.Node]) -> None:
        self._sliding(node, "mean", args, tensors[0])

    _read_avg_pool1d = _read_avg_pool2d

    def _read_max_pool2d(self, node: fx.Node, args: dict[str, Any], tensors: Sequence[fx.Node]) -> None:
        self._sliding(node, "max", args, tensors[0])

    _read_max_pool1d = _read_max_pool2d
    _read_max_pool2d_with_indices = _read_max_pool2d

    def _sliding(self, node: fx.Node, kind: str, args: dict[str, Any], source: fx.Node) -> None:
        kernel = _pair(args["kernel_size"])
        stride, pad = _pair(args["stride"] or args["kernel_size"]), _pair(args["padding"], first=0)
        if _pair(args.get("dilation", 1)) != (1, 1) or args.get("divisor_override") is not None:
            raise self._refusal(node, "pooling with dilation or another divisor")
        before, after = self._shape(source), shape_of(_value(node), self._layer(node))
        include = bool(args.get("count_include_pad", True))
        rows, columns = (
            pooling_windows(before[at], after[at], kernel[at], stride[at], pad[at], include_pad=include)
            for at in (0, 1)
        )
        self._pool(node, kind, source, rows, columns)

    def _read_adaptive_avg_pool2d(
        self, node: fx.Node, args: dict[str, Any], tensors: Sequence[fx.Node]
    ) -> None:
        self._adaptive(node, "mean", tensors[0])

    _read__adaptive_avg_pool2d = _read_adaptive_avg_pool2d
    _read_adaptive_avg_pool1d = _read_adaptive_avg_pool2d

    def _read_adaptive_max_pool2d(
        self, node: fx.Node, args: dict[str, Any], tensors: Sequence[fx.Node]
    ) -> None:
        self._adaptive(node, "max", tensors[0])

    _read_adaptive_max_pool1d = _read_adaptive_max_pool2d

    def _adaptive(self, node: fx.Node, kind: str, source: fx.Node) -> None:
        before, after = self._shape(source), shape_of(_value(node), self._layer(node))
        rows, columns = (adaptive_windows(before[at], after[at]) for at in (0, 1))
        self._pool(node, kind, source, rows, columns)

    def _read_mean(self, node: fx.Node, args: dict[str, Any], tensors: Sequence[fx.Node]) -> None:
        self._over_pixels(node, "mean", args, tensors[0])

    def _read_amax(self, node: fx.Node, args: dict[str, Any], tensors: Sequence[fx.Node]) -> None:
        self._over_pixels(node, "max", args, tensors[0])

    def _over_pixels(self, node: fx.Node, kind: str, args: dict[str, Any], source: fx.Node) -> None:
        dimensions = _value(source).ndim
        axes = args.get("dim")
        axes = {at % dimensions for at in ([axes] if isinstance(axes, int) else axes or [])}
        if not axes or not axes <= set(range(2, dimensions)):
            raise self._refusal(node, f"a {kind} over dimensions {sorted(axes)}")
        before = self._shape(source)
        spatial = {2: 0, 3: 1} if dimensions == 4 else {2: 1}
        reduced = {spatial[axis] for axis in axes}
        rows, columns = (adaptive_windows(before[at], 1 if at in reduced else before[at]) for at in (0, 1))
        previous = self.ops[self._results[source]]
        if previous.kind == kind == "mean" and len(source.users) == 1 and before[0] * before[1] > 1:
            self._merged_mean(node, previous, reduced)
        else:
            self._pool(node, kind, source, rows, columns)

    def _merged_mean(self, node: fx.Node, previous: Op, reduced: set[int]) -> None:
        """Put one mean over rows and columns in place of a mean over columns and then over rows."""
        before = self.ops[previous.inputs[0]].shape
        sides = [previous.shape[at] == 1 or at in reduced for at in (0, 1)]
        whole = [adaptive_windows(before[at], 1 if sides[at] else before[at]) for at in (0, 1)]
        del self.ops[previous.name]
        name = f"{self.prefix}_{node.name}"
        shape = len(whole[0]), len(whole[1]), before[2]
        merged = replace(previous, name=name, shape=shape, numbers={"rows": whole[0], "columns": whole[1]})
        self.ops[name] = merged
        self._results[node] = name

    def _read_cat(self, node: fx.Node, args: dict[str, Any], tensors: Sequence[fx.Node]) -> None:
        sources = list(args["tensors"])
        dimensions = _value(node).ndim
        if args["dim"] % dimensions != 1 or set(sources) & (self._flat | set(self._constants)):
            raise self._refusal(node, "a concatenation of other dimensions than channels")
        self._put(node, "concat", sources)

    def _read_constant_pad_nd(self, node: fx.Node, args: dict[str, Any], tensors: Sequence[fx.Node]) -> None:
        sides = [int(each) for each in args["pad"]] + [0] * 4
        if args["value"] or min(sides) < 0 or any(sides[4:]):
            raise self._refusal(node, "padding with other values than 0")
        self._put(node, "pad", (tensors[0],), pad=(sides[2], sides[0]))

    def _read_pad(self, node: fx.Node, args: dict[str, Any], tensors: Sequence[fx.Node]) -> None:
        if args["mode"] != "constant":
            raise self._refusal(node, f"padding of mode '{args['mode']}'")
        self._read_constant_pad_nd(node, {**args, "value": args["value"] or 0}, tensors)


def _value(node: fx.Node) -> Any:
    value = node.meta.get("val")
    return value[0] if isinstance(value, tuple | list) else value


def _base_name(node: fx.Node) -> str:
    name = getattr(node.target, "__name__", str(node.target)).split(".")[0]
    packet = getattr(node.target, "overloadpacket", None)
    return str(packet.__name__ if packet is not None else name)


def _arguments(node: fx.Node) -> dict[str, Any]:
    """Return the arguments of a node by name, with defaults."""
    arguments = {}
    for at, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        given_here = node.args[at] if at < len(node.args) else node.kwargs.get(argument.name)
        arguments[argument.name] = argument.default_value if given_here is None else given_here
    return arguments


def _attribute(module: fx.GraphModule, path: str) -> torch.Tensor:
    value: Any = module
    for name in path.split("."):
        value = getattr(value, name)
    tensor: torch.Tensor = value
    return tensor


@torch.no_grad()
def _evaluated(
    node: fx.Node, constants: dict[fx.Node, torch.Tensor], more: dict[fx.Node, torch.Tensor]
) -> torch.Tensor:
    """Return the result of a node whose inputs have the given values."""
    values = {**constants, **more}
    args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), lambda each: values[each])
    result: torch.Tensor = node.target(*args, **kwargs)  # type: ignore[operator]
    return result


def _pair(value: Any, first: int = 1) -> tuple[int, int]:
    """Return (rows, columns) for one number, or for numbers of one or both dimensions.

    Args:
        value: A number, or one or two numbers.
        first: Value for the rows of a sequence; `value` has one number then.
    """
    if isinstance(value, int):
        return value, value
    return (first, int(value[0])) if len(value) == 1 else (int(value[0]), int(value[1]))
