"""Exporters of `.tflite` files, in floats and in 8-bit integers, for LiteRT and for microcontrollers."""

import copy
import json
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edanas.core.contracts import ExitNetwork, Exporter, Formula, Runner
from edanas.core.errors import ExportError
from edanas.core.hookspecs import hookimpl
from edanas.core.idle_stages import idle_stages
from edanas.core.optional_packages import import_optional
from edanas.core.types import ImageSet
from edanas.deploy.int8.matching import matching_thresholds
from edanas.deploy.int8.network import IMAGES, LEAST_IMAGES, QUANTIZED, int8_network, layered_network
from edanas.deploy.litert_file import SegmentParts, tflite_bytes
from edanas.deploy.litert_host import header, host_programs
from edanas.deploy.litert_micro import MicroNetwork, arena_bytes
from edanas.deploy.manifest import check_folder, write_described
from edanas.deploy.run_litert import CRITERIA, VERSION, LitertNetwork
from edanas.deploy.run_onnx import Images
from edanas.deploy.segment_files import SegmentRunner
from edanas.deploy.segments import example_images, manifest_fields, part_macs, sized_samples

INT8_FORMAT = "edanas-litert-int8"

RULES = ("early-stop", "mean-probability", "mean-logit")
"""Formulas of inference rules that the exported programs compute."""

MICRO_IMAGES = 16
"""Number of images on which both interpreters must agree."""

_PACKAGES = ("ai_edge_litert.interpreter", "flatbuffers", "tflite_micro.python.tflite_micro.runtime")


class LitertInt8Network(LitertNetwork):
    """An exported network in 8-bit integers; see `LitertNetwork`."""

    form = INT8_FORMAT


class LitertRunner(SegmentRunner):
    """Runner of `.tflite` files with the loop of the exported program; see `SegmentRunner`."""

    network_type = LitertNetwork


class LitertInt8Runner(SegmentRunner):
    """Runner of `.tflite` files in 8-bit integers; see `SegmentRunner`."""

    network_type = LitertInt8Network


class LitertFiles(Exporter):
    """Base class of exporters of one `.tflite` file for each segment, with programs that run them.

    A segment is the stages between two exits with the head after them. The files have operators of TensorFlow
    Lite for Microcontrollers only. After writing, its interpreter and LiteRT's run the files on images, and
    must agree.
    """

    name: str
    network_type: type[LitertNetwork]

    takes_padding = False

    int8: bool
    """True if weights and features are 8-bit integers."""

    tolerated: float = 0.0
    """Largest share of images to which the interpreters may give different labels or exits, besides ties."""

    rounding: float = 1e-4
    """Largest difference of their confidences."""

    def __init__(self) -> None:
        import_optional("exports", self.name, "litert", *_PACKAGES)
        self._calibration: ImageSet | None = None
        self._validation: ImageSet | None = None

    def prepare(self, calibration: ImageSet, validation: ImageSet) -> None:
        """See `Exporter.prepare`."""
        self._calibration, self._validation = calibration, validation

    def check_layers(self, network: ExitNetwork) -> None:
        """See `Exporter.check_layers`."""
        _decision(network)
        for parts in _segment_parts(layered_network(network)):
            tflite_bytes(parts, int8=False)

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write the files, and return their paths; the first is the manifest's.

        The manifest is `stem`.litert.json or `stem`.litert-int8.json. The other files begin with its name
        without `.json`: `.segment<n>.tflite`, n from 1, `.run_litert.py`, `.h` and `.cc`.

        Raises:
            RunError: The folder is missing or not writable.
            ExportError: A layer, the inference rule or the criterion cannot be expressed, images are missing,
                or the interpreters disagree.
        """
        check_folder(stem)
        network = _without_idle(network)
        decision = _decision(network)
        layered, thresholds = self._layered(network)
        stem = stem.with_name(f"{stem.name}{self.ending.removesuffix('.json')}")
        contents = {
            f"{stem.name}.segment{number}.tflite": tflite_bytes(parts, int8=self.int8)
            for number, parts in enumerate(_segment_parts(layered), 1)
        }
        description = {
            "format": self.network_type.form,
            "format_version": VERSION,
            **manifest_fields(network),
            **decision,
            "segments": _segment_fields(network, thresholds, contents),
            **self._figures(network, layered, thresholds, contents),
        }
        listed = {**contents, f"{stem.name}.h": header(description, contents).encode()}
        programs = host_programs(description["format"], stem.name)
        paths = write_described(stem.with_name(f"{stem.name}.json"), description, listed, programs)
        try:
            self._check_interpreters(network, paths[0])
        except Exception:
            for path in paths:
                path.unlink(missing_ok=True)
            raise
        return paths

    @abstractmethod
    def _layered(self, network: ExitNetwork) -> tuple[ExitNetwork, tuple[float | None, ...]]:
        """Return the network as layers, and its thresholds."""

    def _figures(
        self,
        network: ExitNetwork,
        layered: ExitNetwork,
        thresholds: tuple[float | None, ...],
        contents: dict[str, bytes],
    ) -> dict[str, Any]:
        """Return additional fields of the manifest."""
        return {}

    def _check_interpreters(self, network: ExitNetwork, path: Path) -> None:
        """Compare both interpreters on images.

        Raises:
            ExportError: Labels, exits or confidences differ.
        """
        samples = self._calibration
        images = example_images(network, MICRO_IMAGES) if samples is None else samples.images[:MICRO_IMAGES]
        images = sized_samples(network, images)
        forms = self.network_type(path), MicroNetwork(path, self.network_type.form)
        expected, micro = (form.predict(images.numpy()) for form in forms)
        same_exit = expected[1] == micro[1]
        gap = float(np.abs(expected[2] - micro[2])[same_exit].max(initial=0.0))
        different = int((~same_exit).sum())
        for at in np.flatnonzero(same_exit & (expected[0] != micro[0])):
            others = zip(forms, (micro[0][at], expected[0][at]), strict=True)
            different += not any(
                _is_largest(form, images[at].numpy(), expected[1][at], label) for form, label in others
            )
        if different > self.tolerated * len(images) or gap > self.rounding:
            raise ExportError(
                f"{path}: the interpreter for microcontrollers gives {different} of {len(images)} samples "
                f"another label or exit than LiteRT, and confidences that differ by {gap:.1e}"
            )


class LitertExporter(LitertFiles):
    """Exporter of `.tflite` files in float32; see `LitertFiles`."""

    name = "litert"
    ending = ".litert.json"
    int8 = False
    network_type = LitertNetwork

    def _layered(self, network: ExitNetwork) -> tuple[ExitNetwork, tuple[float | None, ...]]:
        return layered_network(network), network.scheme.thresholds

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Verify the files, and return a runner of them with LiteRT; `path` is the manifest."""
        return LitertRunner(path, threads)


class LitertInt8Exporter(LitertFiles):
    """Exporter of `.tflite` files in 8-bit integers; see `LitertFiles`.

    Weights have a scale for each output channel; images of the calibration part set the scales of
    activations. Thresholds are set anew on that part, so that each exit takes as many samples as before; a
    network of a run whose candidates were quantised (setting `quantized`) keeps its thresholds. The manifest
    holds accuracy, utilization and size before and after.
    """

    exact = False
    fewest_images = LEAST_IMAGES
    name = "litert-int8"
    ending = ".litert-int8.json"
    int8 = True
    network_type = LitertInt8Network
    # The interpreters round sums differently, by one of 255 steps of each tensor.
    tolerated = 0.25
    rounding = 0.3

    def _layered(self, network: ExitNetwork) -> tuple[ExitNetwork, tuple[float | None, ...]]:
        images = _images_of(self._calibration, network, "calibration")
        quantised = int8_network(network, images)
        if network.description.get(QUANTIZED):
            return quantised, network.scheme.thresholds
        return quantised, matching_thresholds(network, quantised, images)

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Verify the files, and return a runner of them with LiteRT; `path` is the manifest."""
        return LitertInt8Runner(path, threads)

    def _figures(
        self,
        network: ExitNetwork,
        layered: ExitNetwork,
        thresholds: tuple[float | None, ...],
        contents: dict[str, bytes],
    ) -> dict[str, Any]:
        samples = self._validation
        images = _images_of(samples, network, "validation")
        assert samples is not None and self._calibration is not None  # noqa: S101
        layered.scheme = thresholds
        forms = {"float32": network, "int8": layered}
        predictions = {name: form.predict(images) for name, form in forms.items()}
        labels = samples.labels.cpu()
        exits = [*network.scheme.placed, network.exit_points]
        floats = (tflite_bytes(parts, int8=False) for parts in _segment_parts(layered_network(network)))
        sizes = {"float32": sum(map(len, floats)), "int8": sum(map(len, contents.values()))}
        return {
            "int8": {
                "calibration_images": min(IMAGES, len(self._calibration)),
                "images": len(images),
                "accuracy": {
                    name: float((each.label == labels).double().mean()) for name, each in predictions.items()
                },
                "utilization": {
                    name: [float((each.exit == exit_).double().mean()) for exit_ in exits]
                    for name, each in predictions.items()
                },
                "bytes": sizes,
                "thresholds_before": list(network.scheme.thresholds),
            }
        }

    def summary(self, path: Path) -> str:
        """Return sentences with accuracy, utilization, size and memory; `path` is the manifest."""
        manifest = json.loads(path.read_text(encoding="utf-8"))
        figures, segments = manifest["int8"], manifest["segments"]
        accuracy, sizes = figures["accuracy"], figures["bytes"]
        shares = {
            name: " / ".join(f"{share:.1%}" for share in each)
            for name, each in figures["utilization"].items()
        }
        arenas = " / ".join(f"{segment['arena'] / 1024:.1f}" for segment in segments)
        return (
            f"int8: accuracy {accuracy['int8']:.2%} (float32: {accuracy['float32']:.2%}), utilization "
            f"{shares['int8']} (float32: {shares['float32']}) on {figures['images']} validation samples; "
            f"{sizes['int8'] / 1024:.1f} kB (float32: {sizes['float32'] / 1024:.1f} kB), arenas of the "
            f"segments {arenas} kB, scales from {figures['calibration_images']} samples"
        )


def _is_largest(network: LitertNetwork, image: Images, exit_: int, label: int) -> bool:
    """Return true if no output at an exit is above that of a label; equal integers are ties."""
    features, logits = network.pixels(image), []
    for segment in network.segments:
        features, latest = segment["run"](features)
        logits.append(latest)
        if segment["exit"] == exit_:
            break
    answer = network.answer(logits)
    return bool(answer[label] == answer.max())


def _images_of(samples: ImageSet | None, network: ExitNetwork, part: str) -> torch.Tensor:
    """Return the images of a part, at the size of the network's images."""
    if samples is None or not len(samples):
        raise ExportError(
            f"{part} part: found no samples; `litert-int8` requires labelled samples for quantisation, e.g. "
            "`edanas export MODEL --to litert-int8 --data FOLDER`"
        )
    return sized_samples(network, samples.images)


def _decision(network: ExitNetwork) -> dict[str, Any]:
    """Return the formulas of inference rule and criterion; see `_formula`."""
    return {field: _formula(network, field) for field in ("inference", "criterion")}


def _formula(network: ExitNetwork, field: str) -> dict[str, Any]:
    """Return the formula of the inference rule or the criterion as JSON values.

    Raises:
        ExportError: The exported programs cannot compute it.
    """
    reader = network.inference if field == "inference" else network.criterion
    formula: Formula | None = reader.formula()
    allowed = RULES if field == "inference" else (*CRITERIA, "patience")
    if formula is None or formula.name not in allowed:
        component = network.description.get(field) or {}
        name = component.get("name") if isinstance(component, dict) else None
        raise ExportError(
            f"{field}: found '{name or type(reader).__name__}', which the exported programs cannot compute; "
            f"allowed: {', '.join(allowed)}"
        )
    return {"name": formula.name, "numbers": list(formula.numbers)}


def _without_idle(network: ExitNetwork) -> ExitNetwork:
    """Return a network without stages that do not run with its placed exits, and without other heads.

    Layers are recorded with the features of the stage before. The result is a copy if a stage does not run.
    """
    placed = network.scheme.placed
    if network.points == placed or not idle_stages(network.backbone.image_stages, placed):
        return network
    shorter = copy.deepcopy(network)
    shorter.backbone = shorter.backbone.without_idle(placed)
    shorter.heads = nn.ModuleDict({str(at): shorter.heads[str(at)] for at in placed})
    return shorter


def _segment_parts(layered: ExitNetwork) -> list[SegmentParts]:
    """Return the parts of each segment, in order."""
    backbone: Any = layered.backbone
    heads: Any = layered.heads
    *early, (_, stages) = backbone.segments(layered.scheme.placed)
    parts = [SegmentParts(each, heads[str(at)], last=False) for at, each in early]
    return [*parts, SegmentParts(stages, backbone.head, last=True)]


def _segment_fields(
    network: ExitNetwork, thresholds: Sequence[float | None], contents: dict[str, bytes]
) -> list[dict[str, Any]]:
    macs, heads = part_macs(network)
    fields, begin = [], 0
    exits = [*network.scheme.placed, network.exit_points]
    for exit_, (file, content) in zip(exits, contents.items(), strict=True):
        last = exit_ == network.exit_points
        end = len(macs) if last else exit_ + 1
        fields.append(
            {
                "exit": exit_,
                "point": network.last_point if last else exit_,
                "threshold": None if last else thresholds[exit_],
                "file": file,
                "arena": arena_bytes(content),
                "body_macs": sum(macs[begin:end]),
                "head_macs": heads[exit_],
            }
        )
        begin = end
    return fields


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """Register the exporters `litert` and `litert-int8`."""
    return {"litert": LitertExporter, "litert-int8": LitertInt8Exporter}
