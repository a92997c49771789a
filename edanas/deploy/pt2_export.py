"""Programs of `torch.export`: one for each body and head, or a single one with `torch.cond`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edanas.core.contracts import ExitNetwork, Exporter, Runner
from edanas.core.errors import EdanasError, ExportError
from edanas.core.hookspecs import hookimpl
from edanas.deploy.manifest import check_folder, read_described, write_described
from edanas.deploy.pt2_programs import dynamic_dimensions, load_program, program_bytes
from edanas.deploy.run_onnx import EarlyExitNetwork
from edanas.deploy.segment_files import SegmentRunner, segment_fields, write_segments
from edanas.deploy.segments import ExportSegment, example_images, example_memory, manifest_fields, segments

COND, COND_VERSION = "edanas-pt2-cond", 1


class Pt2Exporter(Exporter):
    """Programs of torch.export, one for each body and head, with a manifest."""

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
            given = features, *example_memory(network, len(features), part.before)
            head = program_bytes(
                part.head, given, dynamic_dimensions(batch=True, image=False), f"head {number}"
            )
            contents.append((part, body, head))
        return write_segments(network, stem, Pt2Network.form, "pt2", contents, {}, {})

    def open(self, path: Path, threads: int = 1) -> Runner:
        """The host loop of `onnx`, with torch and its threads; `path` is the manifest."""
        return Pt2Runner(path, threads)


class Pt2Network(EarlyExitNetwork):
    """The host loop, over programs of torch.export."""

    form = "edanas-pt2"

    def _open(self, content: bytes, threads: int, providers: Sequence[str]) -> Any:
        return load_program(content)

    @torch.no_grad()
    def _run(self, session: Any, *values: Any) -> list[Any]:
        answer = session(*(torch.from_numpy(np.ascontiguousarray(value)) for value in values))
        return [each.numpy() for each in (answer if isinstance(answer, tuple) else (answer,))]


class Pt2Runner(SegmentRunner):
    """Errors as `SegmentRunner`; torch keeps the threads that it has."""

    network_type = Pt2Network


class Pt2CondExporter(Exporter):
    """A single program of torch.export with nested torch.cond, for one image at a time."""

    ending = ".cond.json"

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write `stem`.cond.json and `stem`.cond.pt2; the first describes and verifies the second."""
        check_folder(stem)
        parts = segments(network)
        whole: _Nested | None = None
        for part in reversed(parts):
            whole = _Nested(part, whole)
        if whole is None:
            raise ExportError(f"{stem.name}: has no segment")
        free = dynamic_dimensions(batch=False, image=True)
        content = program_bytes(whole.eval(), (example_images(network, 1, extra=3),), free, "the network")
        description = {
            "format": COND,
            "format_version": COND_VERSION,
            **manifest_fields(network),
            "segments": [segment_fields(part) for part in parts],
        }
        described = stem.with_name(f"{stem.name}{self.ending}")
        return write_described(described, description, {f"{stem.name}.cond.pt2": content})

    def open(self, path: Path, threads: int = 1) -> Runner:
        """The program; `path` is the JSON file."""
        return Pt2CondRunner(path)


class _Nested(nn.Module):
    """A segment, and all that follows where it is not sure enough."""

    def __init__(self, part: ExportSegment, rest: "_Nested | None") -> None:
        super().__init__()
        self.body, self.head, self.rest = part.body, part.head, rest
        self.exit, self.threshold = part.exit, part.threshold

    def forward(
        self, features: torch.Tensor, *before: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One image or its features, what heads left -> label, exit and confidence, (1,) each."""
        features = self.body(features)
        label, sure, *left = self.head(features, *before)
        here = torch.full_like(label, self.exit)
        if self.rest is None or self.threshold is None:
            return label, here, sure
        rest = self.rest
        answer: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = torch.cond(
            (sure >= self.threshold).squeeze(0),
            # A branch may not give back what it was given.
            lambda _, label, here, sure, *_left: (label.clone(), here.clone(), sure.clone()),
            lambda features, _label, _here, _sure, *left: rest(features, *left),
            (features, label, here, sure, *before, *left),
        )
        return answer


class Pt2CondRunner(Runner):
    """Asks the program about one image after the other.

    Raises:
        ExportError: A file is missing or damaged, or torch does not take it.
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
        answers = [self._module(torch.from_numpy(image[None].copy())) for image in images]
        label, left_at, sure = (torch.cat(each).numpy() for each in zip(*answers, strict=True))
        return label, left_at, sure

    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """See `Runner.backbone`; the exits are part of the program."""
        raise EdanasError(f"{self.path}: its exits cannot be passed by; measure the form `pt2` instead")

    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """See `Runner.computed`: a branch is a module, whose calls are counted."""
        ran = [len(images)] + [0] * (self._segments - 1)

        def count(depth: int) -> Callable[..., None]:
            def hook(*_: Any) -> None:
                ran[depth] += 1

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
        return tuple(ran)


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """The exporters `pt2` and `pt2-cond`."""
    return {"pt2": Pt2Exporter, "pt2-cond": Pt2CondExporter}
