"""Graphs of stages and heads for the export to C: a short list of operators, read from `torch.export`."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn

from edanas.core.errors import ExportError

Shape = tuple[int, int, int]
"""Height, width and channels of the features of one sample; sequences have height 1, vectors 1 x 1 pixels."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Op:
    """One operator of a graph.

    Args:
        name: Name of the operator and of its result; unique in a graph.
        kind: `input`, `conv`, `mean`, `max`, `add`, `mul`, `unary`, `concat` or `pad`.
        inputs: Names of the operators whose results it reads.
        shape: Height, width and channels of the result.
        layer: Name of the layer in the network, for messages.
        numbers: Weights and sizes by name; `edanas.deploy.c_code.readers` lists them for each kind.
        function: The function of a `unary` operator on an array of floats.

    Example:
        >>> Op("relu", "unary", ("conv",), (4, 4, 8), "stages.0.act").shape
        (4, 4, 8)
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: Shape
    layer: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    function: Callable[[Floats], Floats] | None = None


@dataclass(frozen=True)
class Part:
    """A body or a head as a graph.

    Args:
        module: The traced module, which runs on batches of the size of the example.
        ops: The operators in the order in which they run; the first one is the input.
        output: Name of the operator whose result is the output.
        prefix: First part of the operators' names, before `_`.

    Example:
        >>> Part(fx.GraphModule({}, fx.Graph()), (), "a_relu", "a").output
        'a_relu'
    """

    module: fx.GraphModule
    ops: tuple[Op, ...]
    output: str
    prefix: str


def traced(module: nn.Module, example: torch.Tensor, name: str) -> fx.GraphModule:
    """Return the graph of a module in torch's operators, in-place operators included.

    Args:
        module: A module in eval mode that takes one tensor.
        example: An input; its batch size is that of the graph.
        name: Name of the module in errors.

    Raises:
        ExportError: The module cannot be traced.

    Example:
        >>> graph = traced(nn.ReLU(inplace=True), torch.zeros(2, 3), "relu").graph
        >>> [str(node.target) for node in graph.nodes if node.op == "call_function"]
        ['aten.relu_.default']
    """
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch warns of its own code
            graph = torch.export.export(module, (example,)).module()
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise ExportError(f"{name}: torch.export cannot trace it: {type(error).__name__}: {text}") from error
    assert isinstance(graph, fx.GraphModule)  # noqa: S101 - for the type checker
    for node in list(graph.graph.nodes):
        if node.op == "call_module" and not node.users:  # checks of the example's shape
            graph.graph.erase_node(node)
    graph.recompile()
    return graph


def shape_of(tensor: Any, layer: str) -> Shape:
    """Return height, width and channels of a batch (B, C, H, W), (B, C, L) or (B, C).

    Raises:
        ExportError: The tensor has other dimensions.

    Example:
        >>> shape_of(torch.zeros(5, 8, 2, 3), "stem"), shape_of(torch.zeros(5, 8, 3), "stem")
        ((2, 3, 8), (1, 3, 8))
    """
    sizes = tuple(int(size) for size in getattr(tensor, "shape", ()))
    if len(sizes) == 4:
        return sizes[2], sizes[3], sizes[1]
    if len(sizes) == 3:
        return 1, sizes[2], sizes[1]
    if len(sizes) == 2:
        return 1, 1, sizes[1]
    raise ExportError(
        f"layer {layer}: found features of shape {sizes}; allowed: (B, C, H, W), (B, C, L), (B, C)"
    )
