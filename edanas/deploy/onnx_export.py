"""ONNX: a file for each body and each head, a manifest, and a program that runs them with onnxruntime."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edanas.core.contracts import ExitNetwork, Exporter, Runner
from edanas.core.hookspecs import hookimpl
from edanas.core.optional_packages import import_optional
from edanas.deploy import run_onnx
from edanas.deploy.manifest import check_folder
from edanas.deploy.onnx_graphs import Graphs, segment_graphs, serialised
from edanas.deploy.run_onnx import EarlyExitNetwork
from edanas.deploy.segment_files import SegmentRunner, write_segments


class OnnxExporter(Exporter):
    """ONNX, one file for each body and head, with a manifest and a host loop in Python for onnxruntime.

    The default: the host decides who goes on, so that any runtime will do, also one without `If`.
    """

    def __init__(self) -> None:
        import_optional("exports", "onnx", "onnx", "onnx", "onnxruntime", "onnxscript")

    ending = ".onnx.json"

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write `stem`.onnx.json, `stem`.segment<n>.onnx and `stem`.head<n>.onnx, and `stem`.run_onnx.py."""
        check_folder(stem)
        return write_graphs(network, stem, segment_graphs(network))

    def open(self, path: Path, threads: int = 1) -> Runner:
        """The files' host loop, with each file checked; `path` is the manifest."""
        return OnnxRunner(path, threads)


class OnnxRunner(SegmentRunner):
    """The host loop that is written beside the files; errors as `SegmentRunner`."""

    network_type = EarlyExitNetwork


def write_graphs(
    network: ExitNetwork, stem: Path, made: Sequence[Graphs], more: dict[str, Any] | None = None
) -> list[Path]:
    """Write what `OnnxRunner` reads.

    Args:
        network: What the graphs were made of.
        stem: What the files' names begin with.
        made: Its graphs.
        more: What the manifest says besides.
    """
    opset = {each.domain or "ai.onnx": each.version for each in made[0].body.opset_import}
    contents = [(each.segment, *serialised(each.body, each.head)) for each in made]
    program = {f"{stem.name}.run_onnx.py": Path(run_onnx.__file__).read_bytes()}
    return write_segments(
        network, stem, EarlyExitNetwork.form, "onnx", contents, {"opset": opset, **(more or {})}, program
    )


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """The exporter `onnx`."""
    return {"onnx": OnnxExporter}
