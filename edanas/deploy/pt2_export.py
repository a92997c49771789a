"""Exporters of `torch.export` programs: one program for each body and head, or one with `torch.cond`."""

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
from edanas.deploy.manifest import check_folder, check_images, read_described, write_described
from edanas.deploy.pt2_programs import dynamic_dimensions, load_program, program_bytes
from edanas.deploy.run_onnx import EarlyExitNetwork
from edanas.deploy.segment_files import SegmentRunner, segment_fields, write_segments
from edanas.deploy.segments import example_images, example_memory, manifest_fields, segments

COND, COND_VERSION = "edanas-pt2-cond", 1


class Pt2Exporter(Exporter):
    """Exporter of `torch.export` programs, one for each body and head, with a manifest.

    A body is the stages between two exits, and a head is the exit after them.
    """

    ending = ".pt2.json"

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write the files, and return their paths; the first is the manifest's.

        The manifest is `stem`.pt2.json. The bodies are `stem`.segment<n>.pt2 and the heads
        `stem`.head<n>.pt2; n counts segments from 1.

        Raises:
            RunError: The folder is missing or not writable.
            ExportError: `torch.export` cannot trace a body or head.
        """
        check_folder(stem)
        features, contents = example_images(network, 2, extra=3), []
        for number, part in enumerate(segments(network), 1):
            free = dynamic_dimensions(batch=True, image=number == 1 and network.image_size is None)
            body = program_bytes(part.body, (features,), free, f"segment {number}")
            with torch.no_grad():
                features = part.body(features).contiguous()
            inputs = features, *example_memory(network, len(features), part.before)
            free = dynamic_dimensions(batch=True, image=False)
            head = program_bytes(part.head, inputs, free, f"head {number}")
            contents.append((part, body, head))
        return write_segments(network, stem, Pt2Network.form, "pt2", contents, {}, {})

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Verify the files, and return a runner of them with torch.

        Args:
            path: The manifest.
            threads: Has no effect, since torch has its own number of threads.
        """
        return Pt2Runner(path, threads)


class Pt2Network(EarlyExitNetwork):
    """An early-exit network of `torch.export` programs, which the loop of `EarlyExitNetwork` runs."""

    form = "edanas-pt2"

    def _open(self, content: bytes, threads: int, providers: Sequence[str]) -> Any:
        return load_program(content)

    @torch.no_grad()
    def _run(self, session: Any, *values: Any) -> list[Any]:
        outputs = session(*(torch.from_numpy(np.ascontiguousarray(value)) for value in values))
        return [each.numpy() for each in (outputs if isinstance(outputs, tuple) else (outputs,))]


class Pt2Runner(SegmentRunner):
    """Runner of `torch.export` programs, with torch's own number of threads; see `SegmentRunner`."""

    network_type = Pt2Network


class Pt2CondExporter(Exporter):
    """Exporter of one `torch.export` program with nested `torch.cond`, which takes one image at a time."""

    ending = ".cond.json"

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write the manifest `stem`.cond.json and the program `stem`.cond.pt2, and return their paths.

        Raises:
            RunError: The folder is missing or not writable.
            ExportError: `torch.export` cannot trace the network.
        """
        check_folder(stem)
        parts = segments(network)
        free = dynamic_dimensions(batch=False, image=network.image_size is None)
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
        """Return a runner of the program with torch.

        Args:
            path: The manifest.
            threads: Has no effect, since torch has its own number of threads.
        """
        return Pt2CondRunner(path)


class Pt2CondRunner(Runner):
    """Runner of a program of `Pt2CondExporter`, one image at a time.

    Args:
        path: The manifest, a `.cond.json` file.

    Raises:
        ExportError: A file is missing or damaged, or torch rejects it.
    """

    def __init__(self, path: Path) -> None:
        manifest, files = read_described(path, COND, COND_VERSION)
        self.path, self._manifest = path, manifest
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
        check_images(self.path, self._manifest, images)
        decisions = [self._module(torch.from_numpy(image[None].copy())) for image in images]
        labels, exits, confidences = (torch.cat(each).numpy() for each in zip(*decisions, strict=True))
        return labels, exits, confidences

    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """See `Runner.backbone`; always an `EdanasError`, since the program has the exits built in."""
        raise EdanasError(
            f"{self.path}: the backbone cannot run without the exits; measure the form `pt2` instead"
        )

    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """See `Runner.computed`; a hook on the module of each branch counts the branch's runs."""
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
    """Register the exporters `pt2` and `pt2-cond`."""
    return {"pt2": Pt2Exporter, "pt2-cond": Pt2CondExporter}
