"""ONNX in a single file: everything behind an exit is a branch of an `If`, and inside it is the next."""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import ExitNetwork, Exporter, Runner
from edanas.core.errors import EdanasError, ExportError
from edanas.core.hookspecs import hookimpl
from edanas.core.optional_packages import import_optional
from edanas.deploy.manifest import check_folder, read_described, write_described
from edanas.deploy.onnx_graphs import Graphs, model_bytes, segment_graphs
from edanas.deploy.segment_files import segment_fields
from edanas.deploy.segments import manifest_fields

FORM, VERSION = "edanas-onnx-if", 1

_OUTPUTS = ("label", "exit", "confidence")
_RAN = re.compile(r"segment(\d+)/\w+_kernel_time")


class OnnxIfExporter(Exporter):
    """ONNX, one file with nested `If`, for one image at a time: its label, exit and confidence.

    `If` is slow in some runtimes and missing in others; `onnx` needs none.
    """

    ending = ".if.json"

    def __init__(self) -> None:
        import_optional("exports", "onnx-if", "onnx", "onnx", "onnxruntime", "onnxscript")

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write `stem`.if.json and `stem`.if.onnx; the first only describes and verifies the second."""
        check_folder(stem)
        made = segment_graphs(network)
        content = model_bytes(nested_graph(made))
        description = {
            "format": FORM,
            "format_version": VERSION,
            **manifest_fields(network),
            "segments": [segment_fields(segment) for segment, _, _ in made],
        }
        described = stem.with_name(f"{stem.name}{self.ending}")
        return write_described(described, description, {f"{stem.name}.if.onnx": content})

    def open(self, path: Path, threads: int = 1) -> Runner:
        """A session of onnxruntime; `path` is the JSON file."""
        return OnnxIfRunner(path, threads)


class OnnxIfRunner(Runner):
    """Asks onnxruntime about one image after the other.

    Args:
        path: The JSON file.
        threads: How many threads the runtime uses.

    Raises:
        ExportError: A file is missing or damaged, or onnxruntime does not take it.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        manifest, files = read_described(path, FORM, VERSION)
        self.path = path
        try:
            self.exit_points = int(manifest["exit_points"])
            self._segments = len(manifest["segments"])
            (self._model,) = files.values()
            self._session = _session(self._model, threads)
        except Exception as error:
            # onnxruntime has exceptions of its own, which are no more than `Exception`.
            raise ExportError(f"{path}: cannot be run: {type(error).__name__}: {error}") from error

    def predict(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """See `Runner.predict`."""
        answers = [self._session.run(_OUTPUTS, {"images": image[None]}) for image in images]
        label, left_at, sure = (np.concatenate(each) for each in zip(*answers, strict=True))
        return label, left_at, sure

    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """See `Runner.backbone`; the exits are part of the graph."""
        raise EdanasError(f"{self.path}: its exits cannot be passed by; measure the form `onnx` instead")

    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """See `Runner.computed`: onnxruntime's profiler says which nodes ran."""
        with tempfile.TemporaryDirectory() as folder:
            session = _session(self._model, 1, str(Path(folder) / "profile"))
            for image in images:
                session.run(_OUTPUTS, {"images": image[None]})
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        nodes = Counter(event["name"] for event in events)
        ran = [0] * self._segments
        for name, times in nodes.items():
            if found := _RAN.fullmatch(name):
                ran[int(found[1]) - 1] = max(ran[int(found[1]) - 1], times)
        return tuple(ran)


def _session(model: bytes, threads: int, profile: str = "") -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    if profile:
        # Nodes keep their names only if none are fused.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_profiling = True
        options.profile_file_prefix = profile
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def nested_graph(made: Sequence[Graphs]) -> Any:
    """One `onnx.ModelProto`: `images` (1, C, H, W) uint8 -> `label`, `exit`, `confidence`, (1,) each."""
    import onnx
    from onnx import TensorProto, helper

    first = made[0].body
    source = onnx.ValueInfoProto()
    source.CopyFrom(first.graph.input[0])
    source.type.tensor_type.shape.dim[0].dim_value = 1
    weights = {each.name: each for _, *models in made for model in models for each in model.graph.initializer}
    constants: list[Any] = []
    nodes, names = _from(made, 0, set(), constants)
    kinds = dict(zip(_OUTPUTS, (TensorProto.INT64, TensorProto.INT64, TensorProto.FLOAT), strict=True))
    outputs = [helper.make_tensor_value_info(name, kind, [1]) for name, kind in kinds.items()]
    ends = [_node("Identity", [old], [new]) for old, new in zip(names, _OUTPUTS, strict=True)]
    graph = helper.make_graph(
        [*nodes, *ends], "early_exit_network", [source], outputs, [*weights.values(), *constants]
    )
    model = helper.make_model(graph, opset_imports=list(first.opset_import), functions=list(first.functions))
    model.ir_version = first.ir_version
    onnx.checker.check_model(model)
    return model


def _from(
    made: Sequence[Graphs], number: int, seen: set[str], constants: list[Any]
) -> tuple[list[Any], list[str]]:
    """The nodes from one segment on, and the names of label, exit and confidence behind them.

    Args:
        made: All segments.
        number: Which one, from 0.
        seen: Values that are there already: a branch sees what is outside, and must not make it again.
        constants: Takes the weights that are added.
    """
    from onnx import TensorProto, helper

    segment, body, head = made[number]
    nodes = _fresh((*body.graph.node, *head.graph.node), seen)
    label, sure, *_ = (each.name for each in head.graph.output)
    here = f"exit{number + 1}"
    constants.append(helper.make_tensor(here, TensorProto.INT64, [1], [segment.exit]))
    if segment.threshold is None:
        return nodes, [label, here, sure]
    limit, enough = f"threshold{number + 1}", f"enough{number + 1}"
    constants.append(helper.make_tensor(limit, TensorProto.FLOAT, [1], [segment.threshold]))
    nodes.append(_node("GreaterOrEqual", [sure, limit], [enough]))
    leave = _branch([], [label, here, sure], f"leave{number + 1}")
    stay = _branch(*_from(made, number + 1, seen, constants), f"stay{number + 1}")
    ends = [f"{name}_from{number + 1}" for name in _OUTPUTS]
    nodes.append(_node("If", [enough], ends, then_branch=leave, else_branch=stay))
    return nodes, ends


def _fresh(nodes: Iterable[Any], seen: set[str]) -> list[Any]:
    found = []
    for node in nodes:
        if not seen.issuperset(node.output):
            seen.update(node.output)
            found.append(node)
    return found


def _branch(nodes: Sequence[Any], names: Sequence[str], label: str) -> Any:
    """A graph without inputs; its outputs get names of their own."""
    from onnx import TensorProto, helper

    kinds = (TensorProto.INT64, TensorProto.INT64, TensorProto.FLOAT)
    outs = [f"{label}_{name}" for name in _OUTPUTS]
    ends = [_node("Identity", [old], [new]) for old, new in zip(names, outs, strict=True)]
    outputs = [helper.make_tensor_value_info(name, kind, [1]) for name, kind in zip(outs, kinds, strict=True)]
    return helper.make_graph([*nodes, *ends], label, [], outputs)


def _node(operator: str, reads: Sequence[str], makes: Sequence[str], **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(operator, reads, makes, name=f"exits/{makes[0]}", **attributes)


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """The exporter `onnx-if`."""
    return {"onnx-if": OnnxIfExporter}
