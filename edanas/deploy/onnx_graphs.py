"""Translation of an EENN's bodies and heads to ONNX graphs.

One call translates all bodies and heads as one module with separate inputs for each. The resulting graph is
then cut into one graph for each body and head. One call is faster than many, since the time of a call hardly
depends on the size of the module.
"""

import itertools
import threading
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import nn

from edanas.core.contracts import ExitNetwork
from edanas.core.errors import ExportError
from edanas.core.optional_packages import import_optional
from edanas.deploy.segments import ExportSegment, example_images, example_memory, segments


class Graphs(NamedTuple):
    """The ONNX graphs of segment n, counted from 1.

    The names of values and weights are unique among the graphs of all segments of a network.

    Args:
        segment: The segment.
        body: The graph of the body, an `onnx.ModelProto`. Its input is `images` for the first segment and
            `features<n - 1>` for any other; its output is `features<n>`.
        head: The graph of the head, an `onnx.ModelProto`. Its inputs are `features<n>` and the outputs of
            earlier heads. Its outputs are `label<n>`, `confidence<n>`, and the outputs for later heads:
            `left<n>_1`, `left<n>_2` and so on.
    """

    segment: ExportSegment
    body: Any
    head: Any


class _Parts(nn.Module):
    """All bodies and heads of a network as one module, with separate inputs for each."""

    def __init__(self, parts: Sequence[ExportSegment]) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(part.body for part in parts)
        self.heads = nn.ModuleList(part.head for part in parts)
        self.before = [part.before for part in parts]

    def forward(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return, segment by segment, the output of the body and then the outputs of the head.

        No part reads the output of another part: each part reads its own tensors from `inputs`.

        Args:
            inputs: The images; one features tensor for each segment, which its head and the next body read;
                then, for each head, the tensors from earlier heads that it takes (`ExportSegment.before`).
        """
        outputs, rest = [], inputs[len(self.bodies) + 1 :]
        for number, (body, head) in enumerate(zip(self.bodies, self.heads, strict=True)):
            before, rest = rest[: self.before[number]], rest[self.before[number] :]
            outputs += [body(inputs[number]), *head(inputs[number + 1], *before)]
        return outputs


_translations: WeakKeyDictionary[nn.Module, tuple[Any, list[Graphs]]] = WeakKeyDictionary()
_lock = threading.Lock()


def segment_graphs(network: ExitNetwork) -> list[Graphs]:
    """Return the ONNX graphs of each segment of an EENN, ascending by exit.

    Callers must not change the graphs, since they are cached as long as the network is unchanged.

    Raises:
        ExportError: A body or head cannot be translated, or only for one batch size.
        CostError: The multiply-adds of a body or head cannot be counted.
        MissingExtraError: The package onnx or onnxscript is not installed.
    """
    with _lock:
        state = _state(network)
        translation = _translations.get(network)
        if translation is None or translation[0] != state:
            translation = _translations[network] = state, _translate(network)
        return translation[1]


def _state(network: ExitNetwork) -> tuple[Any, ...]:
    """Return all values that a network's ONNX graphs depend on; a tensor is represented by its version."""
    tensors = [*network.parameters(), *network.buffers()]
    named = (
        *(network.scheme, network.criterion, network.inference),
        *(network.mean, network.std, network.classes, network.image_size),
    )
    versions = tuple((id(tensor), tensor.data_ptr(), tensor._version) for tensor in tensors)
    return (*named, repr(network), network.training, versions)


def _translate(network: ExitNetwork) -> list[Graphs]:
    parts = segments(network)
    inputs, shapes = _inputs(network, parts)
    names = ["images", *(f"features{number}" for number in range(1, len(parts) + 1))]
    # Each head is traced on separate memory tensors, since each head has another batch size.
    numbers = range(1, len(parts) + 1)
    outgoing = [_memory_names(parts, number) for number in numbers]
    incoming = [_flat(outgoing[: number - 1]) for number in numbers]
    traced = [[f"to{number}_{each}" for each in incoming[number - 1]] for number in numbers]
    ends = [[f"label{number}", f"confidence{number}", *outgoing[number - 1]] for number in numbers]
    outputs = _flat([f"body{number}", *each] for number, each in zip(numbers, ends, strict=True))
    whole = _exported(_Parts(parts).eval(), inputs, shapes, [*names, *_flat(traced)], outputs)
    translated = []
    for at, (number, part) in enumerate(zip(numbers, parts, strict=True)):
        sized = network.image_size is not None
        body = _cut(whole, [names[at]], [f"body{number}"], f"segment{number}", sized=sized)
        _rename(body, f"body{number}", f"features{number}")
        head = _cut(whole, [names[number], *traced[at]], ends[at], f"head{number}")
        for old, new in zip(traced[at], incoming[at], strict=True):
            _rename(head, old, new)
        translated.append(Graphs(part, body, head))
    return translated


def _memory_names(parts: Sequence[ExportSegment], number: int) -> list[str]:
    """Return the names of the memory outputs of head `number`, counted from 1, which later heads read."""
    width = parts[number].before - parts[number - 1].before if number < len(parts) else 0
    return [f"left{number}_{at}" for at in range(1, width + 1)]


def _flat(lists: Iterable[Sequence[str]]) -> list[str]:
    return list(itertools.chain.from_iterable(lists))


def _inputs(network: ExitNetwork, parts: Sequence[ExportSegment]) -> tuple[list[torch.Tensor], Any]:
    """Return an example of each input of `_Parts`, and the dynamic dimensions of the inputs.

    `torch.export` reads both.

    Each body has a different batch size, so that `torch.export` does not treat two batch sizes as equal.
    """
    inputs = [example_images(network, 2, extra=3)]
    with torch.no_grad():
        for number, part in enumerate(parts):
            features = part.body(inputs[-1])
            rows = torch.arange(number + 3) % len(features)
            inputs.append(features.index_select(0, rows).contiguous())
    sides = {at: torch.export.Dim(name, max=1 << 20) for at, name in ((2, "height"), (3, "width"))}
    sides = {} if network.image_size else sides
    batches = [{0: torch.export.Dim(f"batch{number}", max=1 << 20)} for number in range(len(inputs))]
    for number, part in enumerate(parts, 1):
        memory = example_memory(network, len(inputs[number]), part.before)
        batches += [batches[number]] * len(memory)
        inputs += memory
    return inputs, {"inputs": [{**batches[0], **sides}, *batches[1:]]}


def _exported(module: nn.Module, inputs: Any, shapes: Any, names: list[str], outputs: list[str]) -> Any:
    """Translate a module to one `onnx.ModelProto`."""
    import_optional("exports", "onnx", "onnx", "onnx", "onnxscript")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch and onnxscript warn of each other's versions
            program = torch.export.export(module, (inputs,), dynamic_shapes=shapes)
            translated = torch.onnx.export(program, input_names=names, output_names=outputs, verbose=False)
        return translated.model_proto  # type: ignore[union-attr]
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise ExportError(
            f"the network, or its confidence criterion, cannot be translated to ONNX: "
            f"{type(error).__name__}: {text}"
        ) from error


def _cut(whole: Any, sources: Sequence[str], ends: Sequence[str], label: str, *, sized: bool = False) -> Any:
    """Return the part of the model `whole` that computes the outputs `ends` from the inputs `sources`.

    Args:
        whole: The model.
        sources: Names of the inputs.
        ends: Names of the outputs.
        label: Name of the part.
        sized: True if height and width of the images are fixed.

    Raises:
        ExportError: The outputs depend on another input, too; the message names the part by `label`.
    """
    import onnx

    graph = whole.graph
    makers = {name: node for node in graph.node for name in node.output}
    needed, pending = set(), list(ends)
    while pending:
        name = pending.pop()
        if name and name not in needed:
            needed.add(name)
            pending += _inputs_of(makers[name]) if name in makers else []
    foreign = [each.name for each in graph.input if each.name in needed.difference(sources)]
    if foreign:
        raise ExportError(f"{label}: its outputs depend on '{foreign[0]}'; allowed: on '{sources[0]}' alone")
    cut = onnx.ModelProto(ir_version=whole.ir_version)
    cut.opset_import.extend(whole.opset_import)
    cut.functions.extend(whole.functions)
    cut.graph.name = label
    cut.graph.node.extend(node for node in graph.node if needed.intersection(node.output))
    cut.graph.input.extend(each for each in graph.input if each.name in sources)
    cut.graph.output.extend(each for end in ends for each in graph.output if each.name == end)
    cut.graph.initializer.extend(each for each in graph.initializer if each.name in needed)
    _clean(cut, label, sized=sized)
    return cut


def _inputs_of(node: Any) -> list[str]:
    """Return the names of all values that a node reads, including reads in its subgraphs."""
    inner = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return [*node.input, *(name for graph in inner for each in graph.node for name in _inputs_of(each))]


def _clean(model: Any, label: str, *, sized: bool) -> None:
    """Remove metadata of this machine from a model, and give its nodes and dimensions readable names.

    Raises:
        ExportError: A batch size is fixed, or the height or width of the images, unless `sized` is true.
    """
    graph = model.graph
    for number, node in enumerate(graph.node, 1):
        node.name = f"{label}/{node.op_type}{number}"
    for each in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        each.ClearField("metadata_props")
        each.ClearField("doc_string")
    for each in (*graph.input, *graph.output):
        dimensions = each.type.tensor_type.shape.dim
        free = ["batch", None, "height", "width"] if each.name == "images" and not sized else ["batch"]
        for dimension, name in zip(dimensions, free, strict=False):
            if name and not dimension.dim_param:
                raise ExportError(
                    f"{label}: '{each.name}' was translated for a {name} of {dimension.dim_value} alone, "
                    f"since the network has a branch that depends on the {name}"
                )
            if name:
                dimension.dim_param = name


def _rename(model: Any, old: str, new: str) -> None:
    """Rename the value `old` of a model to `new`, in all nodes, inputs and outputs."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                if name == old:
                    names[at] = new
    for each in (*model.graph.input, *model.graph.output):
        each.name = new if each.name == old else each.name


def model_bytes(model: Any) -> bytes:
    """Serialise a model; equal models give equal bytes."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content
