"""Recording of a module's operators in a forward pass, as the graph that a microcontroller runs."""

from collections.abc import Sequence
from typing import Any

import torch

from edanas.core.operator_graph import OperatorGraph, Work
from edanas.core.operator_layers import GraphBuilder, Pair, Shape

_SILENT = ("clone", "_to_copy", "native_dropout", "copy", "contiguous", "detach", "lift_fresh")
"""Operators that the exported network does not have."""

_PRODUCTS = {"addmm": 1, "mm": 0, "bmm": 0, "baddbmm": 1}
"""Matrix products, with the position of their first factor among the arguments."""

_POOLINGS = (
    "mean",
    "_adaptive_avg_pool2d",
    "avg_pool2d",
    "max_pool2d_with_indices",
    "amax",
    "adaptive_max_pool2d",
)
_NORMALISATIONS = ("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm")

_FUSED = ("relu", "hardtanh", *_NORMALISATIONS)
"""Operators that run inside the convolution, linear layer or addition before them."""


class OperatorRecorder:
    """Records the operators of a forward pass of one sample.

    Views of a tensor count as the tensor. An operator on weights alone is not recorded, since its result is
    stored in place of the weights.

    Args:
        source: The module's input (1, ...).
        padded_copies: See `GraphBuilder`.
    """

    def __init__(self, source: torch.Tensor, *, padded_copies: bool = False) -> None:
        self._builder = GraphBuilder(source.numel(), padded_copies=padded_copies)
        self._tensors = {_key(source): 0}
        # A storage in use keeps its key: another tensor never gets it.
        self._alive: list[torch.Tensor] = [source]

    def graph(self, result: torch.Tensor) -> OperatorGraph:
        """Return the graph of all recorded operators; `result` is the module's output."""
        return self._builder.graph(self._tensors.get(_key(result), 0))

    def record(self, name: str, args: Sequence[Any], out: Any) -> None:
        """Record an operator.

        Args:
            name: Name of the operator in torch, without its overload, e.g. `convolution`.
            args: Positional arguments.
            out: The result; of several tensors, the first counts.
        """
        output = out[0] if isinstance(out, list | tuple) and out else out
        if not isinstance(output, torch.Tensor):
            return
        tensors = [each for each in _flat(args) if isinstance(each, torch.Tensor)]
        sources = tuple(self._tensors[_key(each)] for each in tensors if _key(each) in self._tensors)
        if not sources:
            return
        changes = name.endswith("_")
        if not changes and any(_key(output) == _key(each) for each in tensors):
            return
        self._alive.append(output)
        self._tensors[_key(output)] = self._added(name.rstrip("_"), args, tensors, sources, output)

    def _added(
        self,
        name: str,
        args: Sequence[Any],
        tensors: Sequence[torch.Tensor],
        sources: tuple[int, ...],
        output: torch.Tensor,
    ) -> int:
        """Add an operator to the graph if it runs on its own, and return the index of its output."""
        builder, elements = self._builder, output.numel()
        rounding = name.lstrip("_").startswith("fake_quantize")  # the operator before it writes int8
        if rounding or name in _SILENT or (name in _FUSED and self._follows_layer(sources[0])):
            return sources[0]
        if name == "convolution" and not args[6]:
            _, weight, _, stride, padding, dilation, _, _, groups = args[:9]
            if weight.ndim in (3, 4):
                shapes = _shape(tensors[0]), _shape(output)
                kernel, strides = _pair(weight.shape[2:], 1), _pair(stride, 1)
                zeros, steps = _pair(padding, 0), _pair(dilation, 1)
                return builder.convolution(
                    sources[0], *shapes, kernel, strides, zeros, groups=groups, dilation=steps
                )
        if name in _PRODUCTS and len(sources) == 1:
            weight = args[_PRODUCTS[name] + 1]
            if _key(weight) not in self._tensors and weight.ndim == 2:
                before, after = weight.shape
                return builder.linear(sources[0], before, after, elements // after)
        if name in _NORMALISATIONS:
            return builder.normalisation(sources[0], output.shape[1])
        if name in _POOLINGS:
            return builder.pooling(sources[0], elements)
        stored = sum(each.numel() for each in tensors if _key(each) not in self._tensors)
        work = Work(elements=elements)
        if name in _PRODUCTS:
            inner = args[_PRODUCTS[name]].shape[-1]
            work = Work(linear=elements * inner)
        return builder.add(name, sources, elements, work, stored)

    def _follows_layer(self, tensor: int) -> bool:
        """Return whether a convolution, linear layer or addition wrote a tensor."""
        writers = [each for each in self._builder.operators if each.writes == tensor]
        return any(each.flash or each.name == "add" for each in writers)


def _key(tensor: torch.Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key


def _shape(features: torch.Tensor) -> Shape:
    channels, *sides = features.shape[1:]
    return channels, *_pair(sides, 1)


def _pair(values: Sequence[int], first: int) -> Pair:
    """Return numbers for height and width; those of a sequence have height 1, and `first` stands there."""
    height, width = (first, *values)[-2:]
    return height, width


def _flat(values: Sequence[Any]) -> list[Any]:
    return [item for value in values for item in (value if isinstance(value, list | tuple) else (value,))]
