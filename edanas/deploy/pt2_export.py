"""Exporters of `torch.export` programs: one for each body and head, or a single one with `torch.cond`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts import ExitNetwork, Exporter, Runner
from edanas.core.errors import EdanasError, ExportError
from edanas.core.hookspecs import hookimpl
from edanas.deploy.conditional import conditional_network
from edanas.deploy.manifest import check_folder, read_described, write_described
from edanas.deploy.pt2_programs import dynamic_dimensions, load_program, program_bytes
from edanas.deploy.run_onnx import EarlyExitNetwork
from edanas.deploy.segment_files import SegmentRunner, segment_fields, write_segments
from edanas.deploy.segments import example_images, example_memory, manifest_fields, segments

COND, COND_VERSION = "edanas-pt2-cond", 1


class Pt2Exporter(Exporter):
    """Exporter of `torch.export` programs, one for each body and head, with a manifest."""

    ending = ".pt2.json"

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write `stem`.pt2.json, `stem`.segment<n>.pt2 and `stem`.head<n>.pt2."""
        check_folder(stem)
        features, contents = example_images(network, 2, extra=3), []
        for number, part in enumerate(segments(network), 1):
            free = dynamic_dimensions(batch=True, image=number == 1)
            body = program_bytes(part.body, (features,), free, f"segment {number}")
            with torch.no_grad():
                features = part.body(features).contiguous()
            inputs = features, *example_memory(network, len(features), part.before)
            free = dynamic_dimensions(batch=True, image=False)
            head = program_bytes(part.head, inputs, free, f"head {number}")
            contents.append((part, body, head))
        return write_segments(network, stem, Pt2Network.form, "pt2", contents, {}, {})

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Return the host loop of `onnx`, with torch and its threads; `path` is the manifest."""
        return Pt2Runner(path, threads)


class Pt2Network(EarlyExitNetwork):
    """The host loop over programs of `torch.export`."""

    form = "edanas-pt2"

    def _open(self, content: bytes, threads: int, providers: Sequence[str]) -> Any:
        return load_program(content)

    @torch.no_grad()
    def _run(self, session: Any, *values: Any) -> list[Any]:
        outputs = session(*(torch.from_numpy(np.ascontiguousarray(value)) for value in values))
        return [each.numpy() for each in (outputs if isinstance(outputs, tuple) else (outputs,))]


class Pt2Runner(SegmentRunner):
    """Runner with torch, whose number of threads it leaves; errors as `SegmentRunner`."""

    network_type = Pt2Network


class Pt2CondExporter(Exporter):
    """Exporter of a single program with nested `torch.cond`, for one image at a time."""

    ending = ".cond.json"

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write `stem`.cond.json and `stem`.cond.pt2; the first describes and verifies the second."""
        check_folder(stem)
        parts = segments(network)
        free = dynamic_dimensions(batch=False, image=True)
        content = program_bytes(
            conditional_network(parts), (example_images(network, 1, extra=3),), free, "the network"
        )
        description = {
            "format": COND,
            "format_version": COND_VERSION,
            **manifest_fields(network),
            "segments": [segment_fields(part) for part in parts],
        }
        described = stem.with_name(f"{stem.name}{self.ending}")
        return write_described(described, description, {f"{stem.name}.cond.pt2": content})

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Return a runner of the program; `path` is the JSON file."""
        return Pt2CondRunner(path)


class Pt2CondRunner(Runner):
    """Runner of a single program, one image at a time.

    Raises:
        ExportError: A file is missing or damaged, or torch rejects it.
    """

    def __init__(self, path: Path) -> None:
        manifest, files = read_described(path, COND, COND_VERSION)
        self.path = path
        try:
            self.exit_points = int(manifest["exit_points"])
            self._segments = len(manifest["segments"])
            (content,) = files.values()
            self._module = load_program(content)
        except Exception as error:
            raise ExportError(f"{path}: cannot be run: {type(error).__name__}: {error}") from error

    @torch.no_grad()
    def predict(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """See `Runner.predict`."""
        decisions = [self._module(torch.from_numpy(image[None].copy())) for image in images]
        labels, exits, confidences = (torch.cat(each).numpy() for each in zip(*decisions, strict=True))
        return labels, exits, confidences

    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """See `Runner.backbone`; the exits are part of the program."""
        raise EdanasError(f"{self.path}: the backbone cannot run without the exits; measure `pt2` instead")

    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """See `Runner.computed`: a branch is a module, whose calls a hook counts."""
        runs = [len(images)] + [0] * (self._segments - 1)

        def count(depth: int) -> Callable[..., None]:
            def hook(*_: Any) -> None:
                runs[depth] += 1

            return hook

        handles = [
            module.register_forward_pre_hook(count(name.count(".") + 1))
            for name, module in self._module.named_modules()
            if name and all(each.startswith("false_graph") for each in name.split("."))
        ]
        try:
            self.predict(images)
        finally:
            for handle in handles:
                handle.remove()
        return tuple(runs)


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """Return the exporters `pt2` and `pt2-cond`."""
    return {"pt2": Pt2Exporter, "pt2-cond": Pt2CondExporter}
