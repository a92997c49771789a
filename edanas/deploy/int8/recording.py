"""The layers of a module, from the operators that one pass through it calls."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edanas.core.errors import ExportError
from edanas.deploy.c_code.windows import adaptive_windows
from edanas.deploy.int8.fusing import fused
from edanas.deploy.int8.layers import UNIT, Bounds, Layer, LayerGraph, Weights

BATCH = 2
"""Number of samples in the recorded pass; above 1, so that the batch differs from dimensions of size 1."""


@torch.no_grad()
def record(module: nn.Module, shape: tuple[int, ...], name: str) -> LayerGraph:
    """Return the layers of a module in eval mode with one input and one output.

    Args:
        module: The module, in float32 on the CPU.
        shape: The shape of its input, without batch dimension.
        name: Name of the module, for messages.

    Raises:
        ExportError: The module has an operator that these layers cannot express, or depends on anything
            but its input.

    Example:
        >>> graph = record(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), (3, 8, 8), "stage 1")
        >>> [(layer.kind, layer.bounds) for layer in graph.layers]
        [('conv', (0.0, inf))]
    """
    recorder = _Recorder(name)
    sample = torch.randn((BATCH, *shape), generator=torch.Generator().manual_seed(0))
    with recorder.names_of(module), recorder:
        source = recorder.begin(sample)
        result = module(sample)
    if not isinstance(result, torch.Tensor) or id(result) not in recorder.numbers:
        raise ExportError(f"{name}: returns {type(result).__name__}; expected one tensor of its input")
    graph = LayerGraph((source,), (recorder.numbers[id(result)],), tuple(recorder.layers), recorder.shapes)
    return fused(graph)


def features_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without batch dimension as a graph has it: 1-D features (C, L) become (C, 1, L)."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else tuple(shape)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Record of the layers of one pass; tensors that do not depend on the input are constants."""

    def __init__(self, name: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers: list[Layer] = []
        self.numbers: dict[int, int] = {}
        self.shapes: dict[int, tuple[int, ...]] = {}
        self._path = [name]
        self._modules: list[tuple[str, nn.Module]] = []
        self._transposed: dict[int, torch.Tensor] = {}
        # References keep tensors alive, so that no later tensor has the same `id`.
        self._alive: list[Any] = []

    @contextmanager
    def names_of(self, module: nn.Module) -> Iterator[None]:
        """Follow which module runs, inside the context."""
        root, handles = self._path[0], []

        def enter(name: str) -> Callable[..., None]:
            return lambda inner, _: self._modules.append((name, inner))

        for name, inner in module.named_modules():
            handles.append(inner.register_forward_pre_hook(enter(name)))
            handles.append(inner.register_forward_hook(lambda *_: self._modules.pop() and None))
        try:
            yield
        finally:
            self._path = [root]
            for handle in handles:
                handle.remove()

    def begin(self, sample: torch.Tensor) -> int:
        """Return the number of the input."""
        return self._number(sample)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        self._alive.append((args, kwargs, result))
        operator = func.overloadpacket.__name__.rstrip("_")
        leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if not any(id(leaf) in self.numbers for leaf in leaves):
            if operator == "t":
                self._transposed[id(result)] = args[0]
            return result
        handler = getattr(self, f"on_{operator.lstrip('_')}", None)
        if operator in _ALIASES:
            self._alias(args[0], result)
        elif handler is None:
            raise self._refusal(operator)
        else:
            handler(result, *args, **kwargs)
        return result

    def _refusal(self, what: str) -> ExportError:
        path, module = self._modules[-1] if self._modules else ("", None)
        kind = f" ({type(module).__name__})" if module is not None else ""
        layer = f", layer {path}" if path else ""
        return ExportError(
            f"{self._path[0]}{layer}{kind}: `{what}` cannot be expressed for microcontrollers; allowed: "
            "convolutions, linear layers, BatchNorm, additions, products, pooling, concatenation, ReLU, "
            "ReLU6, hard swish, hard sigmoid, sigmoid, SiLU and tanh"
        )

    @property
    def _name(self) -> str:
        path = self._modules[-1][0] if self._modules else ""
        return f"{self._path[0]}.{path}" if path else self._path[0]

    def _number(self, tensor: torch.Tensor) -> int:
        """Return a new number for a tensor."""
        number = len(self.shapes)
        shape = tuple(tensor.shape)
        if not 2 <= len(shape) <= 4 or shape[0] != BATCH or tensor.dtype != torch.float32:
            raise self._refusal(f"a tensor {str(tensor.dtype).removeprefix('torch.')} of shape {shape}")
        self.shapes[number] = features_shape(shape[1:])
        self.numbers[id(tensor)] = number
        return number

    def _of(self, tensor: Any) -> int:
        if not isinstance(tensor, torch.Tensor) or id(tensor) not in self.numbers:
            raise self._refusal("an operation with a constant in place of features")
        return self.numbers[id(tensor)]

    def _alias(self, tensor: torch.Tensor, result: torch.Tensor) -> None:
        self.numbers[id(result)] = self._of(tensor)

    def _layer(self, kind: str, result: torch.Tensor, *inputs: torch.Tensor, **more: Any) -> None:
        reads = tuple(self._of(each) for each in inputs)
        bounds, weights = more.pop("bounds", None), more.pop("weights", None)
        self.layers.append(Layer(kind, reads, self._number(result), self._name, more, bounds, weights))

    # Convolutions, linear layers and what is computed as such.

    def on_convolution(
        self, result: Any, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
        transposed: Any, _: Any, groups: int,
    ) -> None:  # fmt: skip
        if transposed or id(weight) in self.numbers:
            raise self._refusal("a transposed convolution or one with computed weights")
        kernel = weight if weight.ndim == 4 else weight.unsqueeze(2)
        flat = weight.ndim == 3
        options = {
            "stride": (1, *stride) if flat else tuple(stride),
            "padding": (0, *padding) if flat else tuple(padding),
            "dilation": (1, *dilation) if flat else tuple(dilation),
            "groups": groups,
        }
        self._layer("conv", result, x, weights=self._weights(kernel, bias, weight), **options)

    def on_addmm(self, result: Any, bias: Any, x: Any, weight: Any, **more: Any) -> None:
        if more or id(weight) in self.numbers or id(bias) in self.numbers:
            raise self._refusal("a product of two tensors")
        kernel = self._transposed.get(id(weight), weight.T)
        self._layer("linear", result, x, weights=self._weights(kernel, bias, kernel))

    def on_mm(self, result: Any, x: Any, weight: Any) -> None:
        self.on_addmm(result, None, x, weight)

    def on_linear(self, result: Any, x: Any, weight: Any, bias: Any = None) -> None:
        self._layer("linear", result, x, weights=self._weights(weight, bias, weight))

    def _weights(self, kernel: torch.Tensor, bias: Any, weight: torch.Tensor) -> Weights:
        path, module = self._modules[-1] if self._modules else ("", None)
        ones = torch.ones(len(kernel))
        own = path if module is not None and getattr(module, "weight", None) is weight else ""
        values = 0 * ones if bias is None else bias.detach()
        return Weights(kernel.detach(), values, ones, 0 * ones, own, has_bias=bias is not None)

    def on_native_batch_norm(
        self, result: Any, x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: Any, _: Any,
        epsilon: float,
    ) -> None:  # fmt: skip
        if training or mean is None or var is None:
            raise self._refusal("BatchNorm with the statistics of the batch")
        factor = (var.double() + epsilon).rsqrt() * (1.0 if weight is None else weight.double())
        offset = (0.0 if bias is None else bias.double()) - mean.double() * factor
        name = self._modules[-1][0] if self._modules and weight is not None and bias is not None else ""
        self._affine(result[0], x, factor.float(), offset.float(), norm=name)

    def on_native_batch_norm_legit_no_training(
        self, result: Any, x: Any, weight: Any, bias: Any, mean: Any, var: Any, _: Any, epsilon: float
    ) -> None:
        self.on_native_batch_norm(result, x, weight, bias, mean, var, False, 0.0, epsilon)  # noqa: FBT003

    def _affine(
        self,
        result: torch.Tensor,
        x: torch.Tensor,
        factor: torch.Tensor,
        offset: torch.Tensor,
        norm: str = "",
    ) -> None:
        """Record `factor * x + offset` by channel, as a depthwise 1x1 convolution."""
        count = result.shape[1]
        factor, offset = factor.expand(count).clone(), offset.expand(count).clone()
        weights = Weights(torch.ones(count, 1, 1, 1), torch.zeros(count), factor, offset, norm=norm)
        self._layer("affine", result, x, weights=weights)

    def _by_channel(self, constant: Any, result: torch.Tensor) -> torch.Tensor | None:
        """Return a constant operand as one number, or one number for each channel; else `None`."""
        values = torch.as_tensor(constant, dtype=torch.float32).detach()
        if values.numel() == 1:
            return values.reshape(1)
        sizes = (1,) * (result.ndim - values.ndim) + tuple(values.shape)
        by_channel = sizes[0] == 1 and sizes[1] == result.shape[1] and math.prod(sizes) == sizes[1]
        return values.flatten() if by_channel else None

    # Arithmetic of two tensors, or of a tensor and a constant.

    def on_add(self, result: Any, x: Any, other: Any, alpha: float = 1) -> None:
        self._binary("add", result, x, other, alpha)

    def on_sub(self, result: Any, x: Any, other: Any, alpha: float = 1) -> None:
        self._binary("sub", result, x, other, alpha)

    def on_mul(self, result: Any, x: Any, other: Any) -> None:
        self._binary("mul", result, x, other, 1)

    def on_div(self, result: Any, x: Any, other: Any) -> None:
        self._binary("div", result, x, other, 1)

    def _binary(self, kind: str, result: torch.Tensor, x: Any, other: Any, alpha: float) -> None:
        first, second = (isinstance(each, torch.Tensor) and id(each) in self.numbers for each in (x, other))
        if first and second:
            if kind not in ("add", "mul") or alpha != 1:
                raise self._refusal(kind)
            self._layer(kind, result, x, other)
            return
        if not first and kind in ("sub", "div"):
            raise self._refusal(kind)
        data, constant = (x, other) if first else (other, x)
        values = self._by_channel(constant, result)
        if values is None:
            raise self._refusal(f"{kind} of a constant of many numbers")
        one, zero = torch.ones(1), torch.zeros(1)
        factor = values if kind == "mul" else 1 / values if kind == "div" else one
        offset = alpha * values if kind == "add" else -alpha * values if kind == "sub" else zero
        self._affine(result, data, factor, offset)

    # Activation functions.

    def on_relu(self, result: Any, x: Any) -> None:
        self._layer("clip", result, x, bounds=(0.0, math.inf))

    def on_hardtanh(self, result: Any, x: Any, low: float = -1.0, high: float = 1.0) -> None:
        self.on_clamp(result, x, low, high)

    def on_clamp(self, result: Any, x: Any, low: Any = None, high: Any = None) -> None:
        bounds: Bounds = -math.inf if low is None else low, math.inf if high is None else high
        if bounds not in ((0.0, math.inf), (0.0, 6.0)):
            raise self._refusal(f"clamp to {bounds}")
        self._layer("clip", result, x, bounds=bounds)

    def on_clamp_min(self, result: Any, x: Any, low: float) -> None:
        self.on_clamp(result, x, low)

    def on_hardswish(self, result: Any, x: Any) -> None:
        self._layer("hardswish", result, x)

    def on_hardsigmoid(self, result: Any, x: Any) -> None:
        self._affine(result, x, torch.tensor([1 / 6]), torch.tensor([0.5]))
        self.layers[-1] = replace(self.layers[-1], bounds=UNIT)

    def on_sigmoid(self, result: Any, x: Any) -> None:
        self._layer("sigmoid", result, x)

    def on_tanh(self, result: Any, x: Any) -> None:
        self._layer("tanh", result, x)

    def on_silu(self, result: Any, x: Any) -> None:
        gate = torch.empty_like(x)
        self._alive.append(gate)
        self._layer("sigmoid", gate, x)
        self._layer("mul", result, x, gate)

    # Pooling.

    def on_mean(self, result: Any, x: Any, dims: Any = None, keepdim: bool = False, **_: Any) -> None:  # noqa: FBT001, FBT002
        axes = sorted(axis % x.ndim for axis in dims or ())
        if x.ndim == 4 and keepdim and len(axes) == 1 and axes[0] >= 2:
            self._layer("row mean" if axes == [3] else "column mean", result, x)
            return
        if x.ndim < 3 or axes != list(range(2, x.ndim)):
            raise self._refusal(f"the mean over dimensions {list(dims or ())}")
        if keepdim:
            self._layer("mean", result, x)
            return
        pooled = result[(...,) + (None,) * len(axes)]
        self._alive.append(pooled)
        self._layer("mean", pooled, x)
        self._layer("reshape", result, pooled)

    def on_adaptive_avg_pool2d(self, result: Any, x: Any, _: Any) -> None:
        if tuple(result.shape[-2:]) == (1, 1):
            self._layer("mean", result, x)
        else:
            self._cells("avgpool", result, x)

    def on_adaptive_max_pool2d(self, result: Any, x: Any, _: Any) -> None:
        self._cells("maxpool", result[0], x)

    def _cells(self, kind: str, result: torch.Tensor, x: torch.Tensor) -> None:
        """Record adaptive pooling; if windows overlap, as pooling of each row and each column of cells."""
        before, after = x.shape[-2:], result.shape[-2:]
        if not any(side % cells for side, cells in zip(before, after, strict=True)):
            self._pool(kind, result, x, tuple(map(int.__floordiv__, before, after)), ())
            return
        rows = x if before[0] == after[0] else self._strips(kind, x, -2, after[0])
        if before[1] == after[1]:
            self._alias(rows, result)
        else:
            self._alias(self._strips(kind, rows, -1, after[1]), result)

    def _strips(self, kind: str, x: torch.Tensor, axis: int, cells: int) -> torch.Tensor:
        """Record pooling of each window along one axis, and return the joined strips."""
        strips = []
        for start, stop, size in adaptive_windows(x.shape[axis], cells):
            part, strip = x.narrow(axis, start, size), x.narrow(axis, start, 1).clone()
            self._alive += [part, strip]
            self.on_slice(part, x, axis, start, stop)
            kernel = (size, 1) if axis == -2 else (1, size)
            self._pool(kind, strip, part, kernel, ())
            strips.append(strip)
        joined = torch.cat(strips, axis)
        self._alive.append(joined)
        self.on_cat(joined, strips, axis)
        return joined

    def on_avg_pool2d(
        self, result: Any, x: Any, kernel: Any, stride: Any = (), padding: Any = 0, ceil: bool = False,  # noqa: FBT001, FBT002
        counts_padding: bool = True, divisor: Any = None,  # noqa: FBT001, FBT002
    ) -> None:  # fmt: skip
        if divisor is not None or (counts_padding and any(_pair(padding))):
            raise self._refusal("average pooling that counts its padding")
        self._pool("avgpool", result, x, kernel, stride, padding, ceil)

    def on_max_pool2d_with_indices(
        self, result: Any, x: Any, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1,
        ceil: bool = False,  # noqa: FBT001, FBT002
    ) -> None:  # fmt: skip
        if _pair(dilation) != (1, 1):
            raise self._refusal("max-pooling with dilation")
        self._pool("maxpool", result[0], x, kernel, stride, padding, ceil)

    def _pool(
        self,
        kind: str,
        result: Any,
        x: Any,
        kernel: Any,
        stride: Any,
        padding: Any = 0,
        ceil: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        stride = _pair(stride) if stride not in ((), [], None) else _pair(kernel)
        self._layer(
            kind, result, x, kernel=_pair(kernel), stride=stride, padding=_pair(padding), ceil=bool(ceil)
        )

    # Changes of shape.

    def on_view(self, result: Any, x: Any, *_: Any) -> None:
        if features_shape(tuple(result.shape[1:])) == self.shapes[self._of(x)]:
            self._alias(x, result)
        else:
            self._layer("reshape", result, x)

    on_unsafe_view = on_reshape = on_squeeze = on_unsqueeze = on_view

    def on_as_strided(self, result: Any, x: Any, *_: Any) -> None:
        if result.shape != x.shape or result.storage_offset() != x.storage_offset():
            raise self._refusal("a view with strides")
        self._alias(x, result)

    def on_constant_pad_nd(self, result: Any, x: Any, amounts: Any, value: float = 0.0) -> None:
        if value or (x.ndim == 4 and len(amounts) > 4):
            raise self._refusal("padding other than zeros around the pixels")
        before = [0] * x.ndim
        after = [0] * x.ndim
        for number in range(len(amounts) // 2):
            before[-1 - number], after[-1 - number] = amounts[2 * number : 2 * number + 2]
        if min(*before, *after) < 0 or x.ndim == 3:
            raise self._refusal("padding by a negative number of pixels, or of 1-D features")
        self._layer("pad", result, x, amounts=tuple(zip(before[1:], after[1:], strict=True)))

    def on_cat(self, result: Any, tensors: Any, axis: int = 0) -> None:
        axis %= result.ndim
        if axis == 0:
            raise self._refusal("concatenation of samples")
        self._layer("concat", result, *tensors, axis=axis - 1 if result.ndim != 3 or axis == 1 else 2)

    def on_slice(
        self, result: Any, x: Any, axis: int = 0, start: Any = None, end: Any = None, step: int = 1
    ) -> None:
        size = x.shape[axis]
        start, end, _ = slice(start, end).indices(size)
        if (start, end, step) == (0, size, 1):
            self._alias(x, result)
            return
        axis %= x.ndim
        if step != 1 or axis == 0:
            raise self._refusal("a slice with steps, or of samples")
        self._layer(
            "slice", result, x, axis=axis - 1 if x.ndim != 3 or axis == 1 else 2, start=start, end=end
        )

    def on_select(self, result: Any, x: Any, axis: int, index: int) -> None:
        index, axis = index % x.shape[axis], axis % x.ndim
        part = result.unsqueeze(axis)
        self._alive.append(part)
        self.on_slice(part, x, axis, index, index + 1)
        self.on_view(result, part)


_ALIASES = ("detach", "alias", "clone", "contiguous", "to_copy", "_to_copy", "lift_fresh", "dropout")


def _pair(size: Any) -> tuple[int, int]:
    """Return a size as (height, width)."""
    sizes = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    return (sizes[0], sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])
