"""Simplification of recorded layers: BatchNorm, constants and activation functions join the layer before."""

import math
from collections import Counter
from dataclasses import replace

import torch

from edanas.deploy.int8.layers import Layer, LayerGraph, Weights

_JOINED = ("conv", "affine", "linear", "add", "mul")
"""Kinds of layers that can apply bounds to their output."""


def fused(graph: LayerGraph) -> LayerGraph:
    """Return the same computation in fewer layers.

    A layer joins the layer before it if it is the only reader. A remaining `affine` layer becomes a depthwise
    1x1 convolution.
    """
    uses = Counter(number for layer in graph.layers for number in layer.reads)
    uses.update(graph.outputs)
    layers: list[Layer] = []
    writers: dict[int, int] = {}
    for layer in graph.layers:
        at = writers.get(layer.reads[0], -1)
        alone = at >= 0 and uses[layer.reads[0]] == 1 and layers[at].bounds is None
        joined = _joined(layers[at], layer) if alone else None
        if joined is not None:
            layers[at] = joined
            writers[layer.writes] = at
            continue
        writers[layer.writes] = len(layers)
        layers.append(layer)
    shapes = dict(graph.shapes)
    final = [each for layer in layers for each in _convolution(layer, shapes)]
    used = {*graph.inputs, *graph.outputs, *(n for each in final for n in (*each.reads, each.writes))}
    return replace(graph, layers=tuple(final), shapes={n: shapes[n] for n in sorted(used)})


def _joined(before: Layer, layer: Layer) -> Layer | None:
    """Return both layers as one; `None` if they stay separate."""
    if layer.kind == "clip" and before.kind in _JOINED:
        return replace(before, writes=layer.writes, bounds=layer.bounds)
    if {before.kind, layer.kind} == {"row mean", "column mean"}:
        return replace(before, kind="mean", writes=layer.writes)
    if layer.kind != "affine" or before.weights is None or layer.weights is None:
        return None
    weights, own = before.weights, layer.weights
    if own.norm and weights.module and not weights.norm and _is_plain(weights):
        weights = _with_norm(weights, own)
    else:
        weights = weights.scaled(own.gain, own.shift)
    return replace(before, writes=layer.writes, weights=weights, bounds=layer.bounds)


def _is_plain(weights: Weights) -> bool:
    return bool((weights.gain == 1).all() and (weights.shift == 0).all())


def _with_norm(weights: Weights, norm: Weights) -> Weights:
    """Return weights whose kernel and bias include a BatchNorm layer."""
    factor = norm.gain.view(-1, *[1] * (weights.kernel.ndim - 1))
    bias = weights.bias * norm.gain + norm.shift
    return replace(weights, kernel=weights.kernel * factor, bias=bias, norm=norm.norm)


def _convolution(layer: Layer, shapes: dict[int, tuple[int, ...]]) -> list[Layer]:
    """Return an `affine` layer as a depthwise convolution, and a mean over one dimension as pooling.

    Two changes of shape surround the convolution of a vector.
    """
    if layer.kind in ("row mean", "column mean"):
        _, height, width = shapes[layer.reads[0]]
        kernel = (1, width) if layer.kind == "row mean" else (height, 1)
        options = {"kernel": kernel, "stride": kernel, "padding": (0, 0), "ceil": False}
        return [replace(layer, kind="avgpool", options=options)]
    if layer.kind != "affine" or layer.weights is None:
        return [layer]
    count = len(layer.weights.bias)
    options = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": count}
    layer = replace(layer, kind="conv", options=options, weights=replace(layer.weights, norm=""))
    shape = shapes[layer.writes]
    if len(shape) == 3:
        return [layer]
    first, second = max(shapes) + 1, max(shapes) + 2
    shapes[first] = shapes[second] = count, 1, 1
    return [
        Layer("reshape", layer.reads, first, layer.name),
        replace(layer, reads=(first,), writes=second),
        Layer("reshape", (second,), layer.writes, layer.name),
    ]


def limited(values: torch.Tensor, layer: Layer) -> torch.Tensor:
    """Return values within the bounds of a layer; gradients flow."""
    if layer.bounds is None:
        return values
    low, high = layer.bounds
    return values.relu() if math.isinf(high) else values.clamp(low, high)
