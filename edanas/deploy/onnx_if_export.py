"""Exporter of one ONNX file, in which the operator `If` skips the segments after an exit that fires."""

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
from edanas.deploy.manifest import check_folder, check_images, read_described, write_described
from edanas.deploy.onnx_graphs import Graphs, model_bytes, segment_graphs
from edanas.deploy.segment_files import segment_fields
from edanas.deploy.segments import manifest_fields

FORM, VERSION = "edanas-onnx-if", 1

_OUTPUTS = ("label", "exit", "confidence")
_NODE_TIME = re.compile(r"segment(\d+)/\w+_kernel_time")


class OnnxIfExporter(Exporter):
    """Exporter of one ONNX file with nested operators `If`, which takes one image at a time.

    The outputs are the predicted class, the exit and the confidence. `If` is slow in some runtimes and
    missing in others; the form `onnx` does not use it.
    """

    ending = ".if.json"

    def __init__(self) -> None:
        import_optional("exports", "onnx-if", "onnx", "onnx", "onnxruntime", "onnxscript")

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write the manifest `stem`.if.json and the network `stem`.if.onnx, and return their paths.

        Raises:
            RunError: The folder is missing or not writable.
            ExportError: A body or head cannot be translated to ONNX.
        """
        check_folder(stem)
        graphs = segment_graphs(network)
        content = model_bytes(nested_graph(graphs))
        description = {
            "format": FORM,
            "format_version": VERSION,
            **manifest_fields(network),
            "segments": [segment_fields(segment) for segment, _, _ in graphs],
        }
        described = stem.with_name(f"{stem.name}{self.ending}")
        return write_described(described, description, {f"{stem.name}.if.onnx": content})

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Return a runner with onnxruntime; `path` is the manifest."""
        return OnnxIfRunner(path, threads)


class OnnxIfRunner(Runner):
    """Runner of a file of `OnnxIfExporter` with onnxruntime, one image at a time.

    Args:
        path: The manifest, a `.if.json` file.
        threads: Number of threads of onnxruntime, by default 1.

    Raises:
        ExportError: A file is missing or damaged, or onnxruntime rejects it.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        manifest, files = read_described(path, FORM, VERSION)
        self.path, self._manifest = path, manifest
        try:
            self.exit_points = int(manifest["exit_points"])
            self._segments = len(manifest["segments"])
            (self._model,) = files.values()
            self._session = _session(self._model, threads)
        except Exception as error:
            # The exceptions of onnxruntime have no base class below `Exception`.
            raise ExportError(f"{path}: cannot be run: {type(error).__name__}: {error}") from error

    def predict(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """See `Runner.predict`."""
        check_images(self.path, self._manifest, images)
        decisions = [self._session.run(_OUTPUTS, {"images": image[None]}) for image in images]
        labels, exits, confidences = (np.concatenate(each) for each in zip(*decisions, strict=True))
        return labels, exits, confidences

    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """See `Runner.backbone`; always an `EdanasError`, since the file has the exits built in."""
        raise EdanasError(
            f"{self.path}: the backbone cannot run without the exits; measure the form `onnx` instead"
        )

    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """See `Runner.computed`; the numbers come from onnxruntime's profile of the nodes that ran."""
        with tempfile.TemporaryDirectory() as folder:
            session = _session(self._model, 1, str(Path(folder) / "profile"))
            for image in images:
                session.run(_OUTPUTS, {"images": image[None]})
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        nodes = Counter(event["name"] for event in events)
        runs = [0] * self._segments
        for name, count in nodes.items():
            if match := _NODE_TIME.fullmatch(name):
                runs[int(match[1]) - 1] = max(runs[int(match[1]) - 1], count)
        return tuple(runs)


def _session(model: bytes, threads: int, profile: str = "") -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    if profile:
        # Fused nodes would lose their names.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_profiling = True
        options.profile_file_prefix = profile
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def nested_graph(graphs: Sequence[Graphs]) -> Any:
    """Return one `onnx.ModelProto` for a whole network, in which each segment contains the next segment.

    The input is `images` (1, C, H, W) uint8, one image of C channels. The outputs are `label` (the predicted
    class), `exit` and `confidence`, each of shape (1,).

    Args:
        graphs: The graphs of all segments, ascending by exit.
    """
    import onnx
    from onnx import TensorProto, helper

    first = graphs[0].body
    source = onnx.ValueInfoProto()
    source.CopyFrom(first.graph.input[0])
    source.type.tensor_type.shape.dim[0].dim_value = 1
    weights = {
        each.name: each for _, *models in graphs for model in models for each in model.graph.initializer
    }
    constants: list[Any] = []
    nodes, names = _nodes_from(graphs, 0, set(), constants)
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


def _nodes_from(
    graphs: Sequence[Graphs], number: int, outer: set[str], constants: list[Any]
) -> tuple[list[Any], list[str]]:
    """Return the nodes of a segment and all later segments, and the names of their three results.

    The results that the nodes compute are the predicted class, the exit and the confidence.

    Args:
        graphs: The graphs of all segments.
        number: The number of the segment, from 0.
        outer: Names of the values of the enclosing graphs, which a branch may read and must not define again.
            The function adds the names of the values of this and all later segments.
        constants: A list, to which the function adds the constants of exits and thresholds.
    """
    from onnx import TensorProto, helper

    segment, body, head = graphs[number]
    nodes = _new_nodes((*body.graph.node, *head.graph.node), outer)
    label, confidence, *_ = (each.name for each in head.graph.output)
    exit_name = f"exit{number + 1}"
    constants.append(helper.make_tensor(exit_name, TensorProto.INT64, [1], [segment.exit]))
    if segment.threshold is None:
        return nodes, [label, exit_name, confidence]
    limit, enough = f"threshold{number + 1}", f"enough{number + 1}"
    constants.append(helper.make_tensor(limit, TensorProto.FLOAT, [1], [segment.threshold]))
    nodes.append(_node("GreaterOrEqual", [confidence, limit], [enough]))
    leave = _branch([], [label, exit_name, confidence], f"leave{number + 1}")
    stay = _branch(*_nodes_from(graphs, number + 1, outer, constants), f"stay{number + 1}")
    ends = [f"{name}_from{number + 1}" for name in _OUTPUTS]
    nodes.append(_node("If", [enough], ends, then_branch=leave, else_branch=stay))
    return nodes, ends


def _new_nodes(nodes: Iterable[Any], outer: set[str]) -> list[Any]:
    """Return the nodes whose outputs are not in `outer`, and add their outputs to `outer`."""
    new = []
    for node in nodes:
        if not outer.issuperset(node.output):
            outer.update(node.output)
            new.append(node)
    return new


def _branch(nodes: Sequence[Any], names: Sequence[str], label: str) -> Any:
    """Return a branch of an `If`: a graph without inputs, whose outputs are `names` under new names.

    Args:
        nodes: The nodes of the branch.
        names: The names of predicted class, exit and confidence.
        label: The graph's name, with which the new names begin.
    """
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
    """Register the exporter `onnx-if`."""
    return {"onnx-if": OnnxIfExporter}
