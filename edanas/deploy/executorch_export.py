"""Exporter of ExecuTorch programs for mobile and embedded devices, and the runner of exported programs."""

import io
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts import ExitNetwork, Exporter, Runner
from edanas.core.errors import EdanasError, ExportError
from edanas.core.hookspecs import hookimpl
from edanas.core.optional_packages import import_optional
from edanas.core.preprocess import PREPROCESSING
from edanas.deploy.manifest import check_folder, check_images, read_described, write_described
from edanas.deploy.segment_files import check_alone, segment_fields
from edanas.deploy.segments import example_images, example_memory, manifest_fields, segments

FORM, VERSION = "edanas-executorch", 1


class ExecutorchExporter(Exporter):
    """Exporter of an ExecuTorch program with one method for each body and each head.

    A body is the stages between two exits, and a head is the exit after them. The program takes one image of
    the size in the network's preprocessing at a time, since devices plan their memory ahead. An application
    calls the methods in order, until an exit fires.
    """

    ending = ".pte.json"

    def __init__(self) -> None:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")  # executorch warns of other versions of torch
            import_optional("exports", "executorch", "executorch", "executorch.exir", "executorch.runtime")

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write the manifest `stem`.pte.json and the program `stem`.pte, and return their paths.

        The methods are named `segment<n>` for bodies and `head<n>` for heads; n counts segments from 1.

        Raises:
            RunError: The folder is missing or not writable.
            ExportError: ExecuTorch cannot express the network.
        """
        check_folder(stem)
        parts = segments(network)
        programs: dict[str, Any] = {}
        features = example_images(network, 1)
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # torch warns of its own code
                for number, part in enumerate(parts, 1):
                    # ExecuTorch's kernels take weights in torch's default memory format alone.
                    body, head = (each.to(memory_format=torch.contiguous_format) for each in part[2:4])
                    programs[f"segment{number}"] = torch.export.export(body, (features,))
                    features = body(features).contiguous()
                    inputs = features, *example_memory(network, 1, part.before)
                    programs[f"head{number}"] = torch.export.export(head, inputs)
                content = _lowered(programs)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise ExportError(
                f"the network cannot be exported to ExecuTorch: {type(error).__name__}: {text}"
            ) from error
        description = {
            "format": FORM,
            "format_version": VERSION,
            **manifest_fields(network),
            "segments": [
                {**segment_fields(part), "body": f"segment{number}", "head": f"head{number}"}
                for number, part in enumerate(parts, 1)
            ],
        }
        described = stem.with_name(f"{stem.name}{self.ending}")
        return write_described(described, description, {f"{stem.name}.pte": content})

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Return a runner with ExecuTorch's runtime in Python.

        Args:
            path: The manifest.
            threads: Has no effect on this runtime.
        """
        return ExecutorchRunner(path)


class ExecutorchRunner(Runner):
    """Runner of an ExecuTorch program, one image at a time.

    Args:
        path: The manifest, a `.pte.json` file.

    Raises:
        ExportError: A file is missing or damaged, or the runtime rejects it.
    """

    def __init__(self, path: Path) -> None:
        manifest, files = read_described(path, FORM, VERSION)
        self.path, self._manifest = path, manifest
        self._looks_back = bool(manifest.get("looks_back"))
        try:
            from executorch.runtime import Runtime

            self.exit_points = int(manifest["exit_points"])
            self.side = None if PREPROCESSING in manifest else int(manifest["resolution"])
            (self._content,) = files.values()
            self._program = Runtime.get().load_program(self._content)
            self._segments = [
                {
                    **each,
                    "body": self._program.load_method(each["body"]),
                    "head": self._program.load_method(each["head"]),
                }
                for each in manifest["segments"]
            ]
        except Exception as error:
            raise ExportError(f"{path}: cannot be run: {type(error).__name__}: {error}") from error
        self._ran = [0] * len(self._segments)

    def predict(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """See `Runner.predict`."""
        check_images(self.path, self._manifest, images)
        labels, exits, confidences = zip(*(self._predict_one(image) for image in images), strict=True)
        return np.array(labels), np.array(exits), np.array(confidences, dtype=np.float32)

    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """See `Runner.backbone`."""
        check_alone(self.path, self._manifest)
        if self._looks_back:
            raise EdanasError(
                f"{self.path}: the last exit reads the outputs of earlier exits, and cannot run without them"
            )
        labels = []
        for image in images:
            features = torch.from_numpy(image[None].copy())
            for segment in self._segments:
                (features,) = _run(segment["body"], features)
            labels.append(int(_run(self._segments[-1]["head"], features)[0]))
        return np.array(labels)

    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """See `Runner.computed`."""
        before = list(self._ran)
        self.predict(images)
        return tuple(now - then for now, then in zip(self._ran, before, strict=True))

    def _predict_one(self, image: npt.NDArray[np.uint8]) -> tuple[int, int, float]:
        features = torch.from_numpy(image[None].copy())
        memory: list[torch.Tensor] = []
        for number, segment in enumerate(self._segments):
            (features,) = _run(segment["body"], features)
            label, confidence, *outputs = _run(segment["head"], features, *memory)
            memory += outputs
            self._ran[number] += 1
            threshold = segment["threshold"]
            if threshold is None or bool(confidence >= threshold):
                return int(label), int(segment["exit"]), float(confidence)
        raise ExportError(f"{self.path}: the last segment has a threshold; expected null")


def _run(method: Any, *values: torch.Tensor) -> list[torch.Tensor]:
    """Return copies of a method's outputs, since the next call overwrites the originals."""
    return [each.clone() for each in method.execute(list(values))]


def _lowered(programs: dict[str, Any]) -> bytes:
    """Return the bytes of one ExecuTorch program with all methods."""
    from executorch.exir import to_edge

    with redirect_stderr(io.StringIO()):
        return bytes(to_edge(programs).to_executorch().buffer)


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """Register the exporter `executorch`."""
    return {"executorch": ExecutorchExporter}
