"""An EENN's bodies and heads as ONNX graphs.

All parts are translated at once, each from an input of its own, and then cut apart: much of what a
translation takes is the same for one operator and for a thousand.
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
    """One segment's graphs; values and weights have names that no other segment's have.

    Args:
        segment: What they were made of.
        body: `onnx.ModelProto`: `images` or the features of the segment before -> its own features.
        head: `onnx.ModelProto`: these features, and all that earlier heads left -> `label<n>`,
            `confidence<n>`, and what it leaves to later ones, `left<n>_1` and so on.
    """

    segment: ExportSegment
    body: Any
    head: Any


class _Parts(nn.Module):
    """Every body and every head, each on inputs of its own."""

    def __init__(self, parts: Sequence[ExportSegment]) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(part.body for part in parts)
        self.heads = nn.ModuleList(part.head for part in parts)
        self.before = [part.before for part in parts]

    def forward(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """Images, all segments' features, what heads are left -> each body's and each head's outputs."""
        found, rest = [], inputs[len(self.bodies) + 1 :]
        for number, (body, head) in enumerate(zip(self.bodies, self.heads, strict=True)):
            before, rest = rest[: self.before[number]], rest[self.before[number] :]
            found += [body(inputs[number]), *head(inputs[number + 1], *before)]
        return found


_made: WeakKeyDictionary[nn.Module, tuple[Any, list[Graphs]]] = WeakKeyDictionary()
_making = threading.Lock()


def segment_graphs(network: ExitNetwork) -> list[Graphs]:
    """The graphs of each segment. They are kept while the network lives and is unchanged: do not change them.

    Raises:
        ExportError: A part cannot be translated, or only for one size of the batch.
        CostError: A part's multiply-adds cannot be counted.
        MissingExtraError: A package is not installed.
    """
    with _making:
        state = _state(network)
        known = _made.get(network)
        if known is None or known[0] != state:
            known = _made[network] = state, _translate(network)
        return known[1]


def _state(network: ExitNetwork) -> tuple[Any, ...]:
    """What a translation depends on; torch counts every change of a tensor's values."""
    tensors = [*network.parameters(), *network.buffers()]
    named = network.scheme, network.criterion, network.inference, network.mean, network.std, network.classes
    versions = tuple((id(tensor), tensor.data_ptr(), tensor._version) for tensor in tensors)
    return (*named, repr(network), network.training, versions)


def _translate(network: ExitNetwork) -> list[Graphs]:
    parts = segments(network)
    inputs, shapes = _inputs(network, parts)
    names = ["images", *(f"features{number}" for number in range(1, len(parts) + 1))]
    # Traced, each head has tensors of its own for what it is left: all batches there are of one size.
    numbers = range(1, len(parts) + 1)
    left = [_left(parts, number) for number in numbers]
    known = [_flat(left[: number - 1]) for number in numbers]
    told = [[f"to{number}_{each}" for each in known[number - 1]] for number in numbers]
    ends = [[f"label{number}", f"confidence{number}", *left[number - 1]] for number in numbers]
    outputs = _flat([f"body{number}", *each] for number, each in zip(numbers, ends, strict=True))
    whole = _exported(_Parts(parts).eval(), inputs, shapes, [*names, *_flat(told)], outputs)
    found = []
    for at, (number, part) in enumerate(zip(numbers, parts, strict=True)):
        body = _cut(whole, [names[at]], [f"body{number}"], f"segment{number}")
        _rename(body, f"body{number}", f"features{number}")
        head = _cut(whole, [names[number], *told[at]], ends[at], f"head{number}")
        for here, there in zip(told[at], known[at], strict=True):
            _rename(head, here, there)
        found.append(Graphs(part, body, head))
    return found


def _left(parts: Sequence[ExportSegment], number: int) -> list[str]:
    """The names of what the head of this number, from 1, leaves to later ones."""
    width = parts[number].before - parts[number - 1].before if number < len(parts) else 0
    return [f"left{number}_{at}" for at in range(1, width + 1)]


def _flat(several: Iterable[Sequence[str]]) -> list[str]:
    return list(itertools.chain.from_iterable(several))


def _inputs(network: ExitNetwork, parts: Sequence[ExportSegment]) -> tuple[list[torch.Tensor], Any]:
    """An example for each input, in batches of different sizes, and which dimensions may change."""
    inputs = [example_images(network, 2, extra=3)]
    with torch.no_grad():
        for number, part in enumerate(parts):
            features = part.body(inputs[-1])
            rows = torch.arange(number + 3) % len(features)
            inputs.append(features.index_select(0, rows).contiguous())
    sides = {2: torch.export.Dim("height", max=1 << 20), 3: torch.export.Dim("width", max=1 << 20)}
    batches = [{0: torch.export.Dim(f"batch{number}", max=1 << 20)} for number in range(len(inputs))]
    for number, part in enumerate(parts, 1):
        before = example_memory(network, len(inputs[number]), part.before)
        batches += [batches[number]] * len(before)
        inputs += before
    return inputs, {"inputs": [{**batches[0], **sides}, *batches[1:]]}


def _exported(module: nn.Module, inputs: Any, shapes: Any, names: list[str], outputs: list[str]) -> Any:
    """One `onnx.ModelProto` of all parts."""
    import_optional("exports", "onnx", "onnx", "onnx", "onnxscript")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch and onnxscript say of each other's versions
            program = torch.export.export(module, (inputs,), dynamic_shapes=shapes)
            made = torch.onnx.export(program, input_names=names, output_names=outputs, verbose=False)
        return made.model_proto  # type: ignore[union-attr]
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise ExportError(
            f"the network, or its confidence criterion, cannot be translated to ONNX: "
            f"{type(error).__name__}: {text}"
        ) from error


def _cut(whole: Any, sources: Sequence[str], ends: Sequence[str], label: str) -> Any:
    """What of `whole` leads from the inputs `sources` to the outputs `ends`."""
    import onnx

    graph = whole.graph
    makers = {name: node for node in graph.node for name in node.output}
    wanted, pending = set(), list(ends)
    while pending:
        name = pending.pop()
        if name and name not in wanted:
            wanted.add(name)
            pending += _reads(makers[name]) if name in makers else []
    foreign = [each.name for each in graph.input if each.name in wanted.difference(sources)]
    if foreign:
        raise ExportError(f"{label} depends on '{foreign[0]}' besides '{sources[0]}'")
    cut = onnx.ModelProto(ir_version=whole.ir_version)
    cut.opset_import.extend(whole.opset_import)
    cut.functions.extend(whole.functions)
    cut.graph.name = label
    cut.graph.node.extend(node for node in graph.node if wanted.intersection(node.output))
    cut.graph.input.extend(each for each in graph.input if each.name in sources)
    cut.graph.output.extend(each for end in ends for each in graph.output if each.name == end)
    cut.graph.initializer.extend(each for each in graph.initializer if each.name in wanted)
    _clean(cut, label)
    return cut


def _reads(node: Any) -> list[str]:
    """The values that a node reads, also in its own graphs."""
    inner = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return [*node.input, *(name for graph in inner for each in graph.node for name in _reads(each))]


def _clean(model: Any, label: str) -> None:
    """Take out what tells of the machine that it was made on; name nodes and dimensions for people."""
    graph = model.graph
    for number, node in enumerate(graph.node, 1):
        node.name = f"{label}/{node.op_type}{number}"
    for each in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        each.ClearField("metadata_props")
        each.ClearField("doc_string")
    for each in (*graph.input, *graph.output):
        dimensions = each.type.tensor_type.shape.dim
        free = ["batch", None, "height", "width"] if each.name == "images" else ["batch"]
        for dimension, name in zip(dimensions, free, strict=False):
            if name and not dimension.dim_param:
                raise ExportError(
                    f"{label}: '{each.name}' was translated for a {name} of {dimension.dim_value} alone: "
                    "something in the network branches on it"
                )
            if name:
                dimension.dim_param = name


def _rename(model: Any, old: str, new: str) -> None:
    """Give a value another name."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                if name == old:
                    names[at] = new
    for each in (*model.graph.input, *model.graph.output):
        each.name = new if each.name == old else each.name


def serialised(body: Any, head: Any) -> tuple[bytes, bytes]:
    """Both as bytes."""
    return model_bytes(body), model_bytes(head)


def model_bytes(model: Any) -> bytes:
    """A model as bytes, the same each time."""
    found: bytes = model.SerializeToString(deterministic=True)
    return found
