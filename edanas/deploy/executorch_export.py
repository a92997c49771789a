"""ExecuTorch: one program with a method for each body and each head, for devices."""

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
from edanas.deploy.manifest import check_folder, read_described, write_described
from edanas.deploy.segment_files import segment_fields
from edanas.deploy.segments import example_images, example_memory, manifest_fields, segments

FORM, VERSION = "edanas-executorch", 1


class ExecutorchExporter(Exporter):
    """An ExecuTorch program: a method for each body and head, for one image of the network's resolution.

    Devices plan their memory ahead, so that sizes are fixed; the host calls the methods one by one.
    """

    ending = ".pte.json"

    def __init__(self) -> None:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")  # of executorch, on torch's version
            import_optional("exports", "executorch", "executorch", "executorch.exir", "executorch.runtime")

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write `stem`.pte.json and `stem`.pte, with methods `segment<n>` and `head<n>`."""
        check_folder(stem)
        parts = segments(network)
        programs: dict[str, Any] = {}
        features = example_images(network, 1)
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # of torch, on itself
                for number, part in enumerate(parts, 1):
                    # Its kernels take weights in torch's default order alone.
                    body, head = (each.to(memory_format=torch.contiguous_format) for each in part[2:4])
                    programs[f"segment{number}"] = torch.export.export(body, (features,))
                    features = body(features).contiguous()
                    given = features, *example_memory(network, 1, part.before)
                    programs[f"head{number}"] = torch.export.export(head, given)
                content = _lowered(programs)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise ExportError(
                f"the network cannot be put into ExecuTorch: {type(error).__name__}: {text}"
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
        """ExecuTorch's runtime in Python; `path` is the JSON file."""
        return ExecutorchRunner(path)


class ExecutorchRunner(Runner):
    """Asks about one image after the other.

    Raises:
        ExportError: A file is missing or damaged, or the runtime does not take it.
    """

    def __init__(self, path: Path) -> None:
        manifest, files = read_described(path, FORM, VERSION)
        self.path, self._looks_back = path, bool(manifest.get("looks_back"))
        try:
            from executorch.runtime import Runtime

            self.exit_points, self.side = int(manifest["exit_points"]), int(manifest["resolution"])
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
        label, left_at, sure = zip(*(self._one(image) for image in images), strict=True)
        return np.array(label), np.array(left_at), np.array(sure, dtype=np.float32)

    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """See `Runner.backbone`."""
        found = []
        if self._looks_back:
            raise EdanasError(f"{self.path}: the last exit looks back at the others, and cannot run alone")
        for image in images:
            features = torch.from_numpy(image[None].copy())
            for segment in self._segments:
                (features,) = _run(segment["body"], features)
            found.append(int(_run(self._segments[-1]["head"], features)[0]))
        return np.array(found)

    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """See `Runner.computed`."""
        before = list(self._ran)
        self.predict(images)
        return tuple(now - then for now, then in zip(self._ran, before, strict=True))

    def _one(self, image: npt.NDArray[np.uint8]) -> tuple[int, int, float]:
        features = torch.from_numpy(image[None].copy())
        before: list[torch.Tensor] = []
        for number, segment in enumerate(self._segments):
            (features,) = _run(segment["body"], features)
            label, sure, *left = _run(segment["head"], features, *before)
            before += left
            self._ran[number] += 1
            threshold = segment["threshold"]
            if threshold is None or bool(sure >= threshold):
                return int(label), int(segment["exit"]), float(sure)
        raise ExportError("the last exit has a threshold")


def _run(method: Any, *values: torch.Tensor) -> list[torch.Tensor]:
    """A method's outputs, in memory of their own: the next call overwrites the runtime's."""
    return [each.clone() for each in method.execute(list(values))]


def _lowered(programs: dict[str, Any]) -> bytes:
    """One program with all methods."""
    from executorch.exir import to_edge

    with redirect_stderr(io.StringIO()):
        return bytes(to_edge(programs).to_executorch().buffer)


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """The exporter `executorch`."""
    return {"executorch": ExecutorchExporter}
