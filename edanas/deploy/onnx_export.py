"""Exporter of ONNX files: one for each body and head, a manifest, and a program that runs them."""

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
    """Exporter of ONNX files, one for each body and head, with a host loop in Python for onnxruntime.

    The default form: the host loop decides which samples go on, so that the runtime needs no `If`.
    """

    def __init__(self) -> None:
        import_optional("exports", "onnx", "onnx", "onnx", "onnxruntime", "onnxscript")

    ending = ".onnx.json"

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write `stem`.onnx.json, `stem`.segment<n>.onnx and `stem`.head<n>.onnx, and `stem`.run_onnx.py."""
        check_folder(stem)
        return write_graphs(network, stem, segment_graphs(network))

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Return the host loop over the verified files; `path` is the manifest."""
        return OnnxRunner(path, threads)


class OnnxRunner(SegmentRunner):
    """Runner with the host loop that is written beside the files; errors as `SegmentRunner`."""

    network_type = EarlyExitNetwork


def write_graphs(
    network: ExitNetwork, stem: Path, graphs: Sequence[Graphs], more: dict[str, Any] | None = None
) -> list[Path]:
    """Write the files that `OnnxRunner` reads.

    Args:
        network: The EENN.
        stem: The beginning of the files' names.
        graphs: The EENN's graphs.
        more: Further fields of the manifest.
    """
    opset = {each.domain or "ai.onnx": each.version for each in graphs[0].body.opset_import}
    contents = [(each.segment, model_bytes(each.body), model_bytes(each.head)) for each in graphs]
    program = {f"{stem.name}.run_onnx.py": Path(run_onnx.__file__).read_bytes()}
    return write_segments(
        network, stem, EarlyExitNetwork.form, "onnx", contents, {"opset": opset, **(more or {})}, program
    )


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """Return the exporter `onnx`."""
    return {"onnx": OnnxExporter}
