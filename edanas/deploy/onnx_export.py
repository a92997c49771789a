"""ONNX: a file for each body and each head, a manifest, and a program that runs them with onnxruntime."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from edanas.core.contracts import Exporter, Runner
from edanas.core.errors import ExportError
from edanas.core.hookspecs import hookimpl
from edanas.deploy import run_onnx
from edanas.deploy.extras import needed
from edanas.deploy.onnx_graphs import Graphs, graphs, serialised
from edanas.deploy.parts import describe
from edanas.deploy.run_onnx import EarlyExitNetwork
from edanas.deploy.writing import check_folder, read_described, write_described

FORM, VERSION = run_onnx.FORMAT, run_onnx.VERSION


class OnnxExporter(Exporter):
    """ONNX, one file for each body and head, with a manifest and a host loop in Python for onnxruntime.

    The default: the host decides who goes on, so that any runtime will do, also one without `If`.
    """

    def __init__(self) -> None:
        needed("onnx", "onnx", "onnx", "onnxruntime", "onnxscript")

    def export(self, network: nn.Module, stem: Path) -> list[Path]:
        """Write `stem`.onnx.json, `stem`.segment<n>.onnx and `stem`.head<n>.onnx, and `stem`.run_onnx.py."""
        check_folder(stem)
        return write_graphs(network, stem, graphs(network))

    def open(self, path: Path) -> Runner:
        """The files' host loop, with each file checked; `path` is the manifest."""
        return OnnxRunner(path)


class OnnxRunner(Runner):
    """The host loop that is written beside the files.

    Raises:
        ExportError: A file is missing or damaged, or onnxruntime does not take it.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        manifest, _ = read_described(path, FORM, VERSION)
        try:
            self.network = EarlyExitNetwork(path, threads)
            self.exit_points = int(manifest["exit_points"])
        except Exception as error:
            # onnxruntime has exceptions of its own, which are no more than `Exception`.
            raise ExportError(f"{path}: cannot be run: {type(error).__name__}: {error}") from error

    def predict(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """See `Runner.predict`."""
        return self.network.predict(images)

    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """See `Runner.backbone`."""
        return self.network.backbone(images)

    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """See `Runner.computed`."""
        before = list(self.network.computed)
        self.network.predict(images)
        return tuple(now - then for now, then in zip(self.network.computed, before, strict=True))


def write_graphs(
    network: nn.Module, stem: Path, made: Sequence[Graphs], more: dict[str, Any] | None = None
) -> list[Path]:
    """Write what `OnnxRunner` reads.

    Args:
        network: What the graphs were made of.
        stem: What the files' names begin with.
        made: Its graphs.
        more: What the manifest says besides.
    """
    files: dict[str, bytes] = {}
    listed = []
    for number, (segment, *models) in enumerate(made, 1):
        body, head = (f"{stem.name}.{kind}{number}.onnx" for kind in ("segment", "head"))
        files[body], files[head] = serialised(models)
        listed.append(
            {
                "exit": segment.exit,
                "threshold": segment.threshold,
                "body": body,
                "head": head,
                "body_macs": segment.body_macs,
                "head_macs": segment.head_macs,
            }
        )
    opset = {each.domain or "ai.onnx": each.version for each in made[0].body.opset_import}
    description = {
        "format": FORM,
        "format_version": VERSION,
        **describe(network),
        "segments": listed,
        "opset": opset,
        **(more or {}),
    }
    program = {f"{stem.name}.run_onnx.py": Path(run_onnx.__file__).read_bytes()}
    return write_described(stem.with_name(f"{stem.name}.onnx.json"), description, files, program)


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """The exporter `onnx`."""
    return {"onnx": OnnxExporter}
