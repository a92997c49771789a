"""Exporter of ONNX files: one file for each body and each head, a manifest, and a program that runs them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edanas.core.contracts import ExitNetwork, Exporter, Runner
from edanas.core.hookspecs import hookimpl
from edanas.core.optional_packages import import_optional
from edanas.deploy import run_onnx
from edanas.deploy.manifest import check_folder
from edanas.deploy.onnx_graphs import Graphs, model_bytes, segment_graphs
from edanas.deploy.run_onnx import EarlyExitNetwork
from edanas.deploy.segment_files import SegmentRunner, write_segments


class OnnxExporter(Exporter):
    """Exporter of ONNX files, one for each body and head, with a Python program that runs them.

    A body is the stages between two exits, and a head is the exit after them. This form is the default of
    exports. The program decides after each head which images exit, so that the
    files need no operator `If`. The program requires onnxruntime.
    """

    def __init__(self) -> None:
        import_optional("exports", "onnx", "onnx", "onnx", "onnxruntime", "onnxscript")

    ending = ".onnx.json"

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write the files, and return their paths; the first is the manifest's.

        The manifest is `stem`.onnx.json, the program `stem`.run_onnx.py. The bodies are
        `stem`.segment<n>.onnx and the heads `stem`.head<n>.onnx; n counts segments from 1.

        Raises:
            RunError: The folder is missing or not writable.
            ExportError: A body or head cannot be translated to ONNX.
        """
        check_folder(stem)
        return write_graphs(network, stem, segment_graphs(network))

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Verify the files, and return a runner of them with onnxruntime; `path` is the manifest."""
        return OnnxRunner(path, threads)


class OnnxRunner(SegmentRunner):
    """Runner of ONNX files with the loop of the exported program; see `SegmentRunner`."""

    network_type = EarlyExitNetwork


def write_graphs(
    network: ExitNetwork, stem: Path, graphs: Sequence[Graphs], more: dict[str, Any] | None = None
) -> list[Path]:
    """Write the manifest, the ONNX files and the program of an EENN, and return their paths in this order.

    Args:
        network: The EENN.
        stem: The path that the files' names begin with.
        graphs: The graphs of all segments, from `segment_graphs`.
        more: Additional fields of the manifest; by default none.
    """
    opset = {each.domain or "ai.onnx": each.version for each in graphs[0].body.opset_import}
    contents = [(each.segment, model_bytes(each.body), model_bytes(each.head)) for each in graphs]
    program = {f"{stem.name}.run_onnx.py": Path(run_onnx.__file__).read_bytes()}
    return write_segments(
        network, stem, EarlyExitNetwork.form, "onnx", contents, {"opset": opset, **(more or {})}, program
    )


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """Register the exporter `onnx`."""
    return {"onnx": OnnxExporter}
