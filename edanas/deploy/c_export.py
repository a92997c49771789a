"""Exporter of a network in C99 with 8-bit integers, for microcontrollers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edanas.core.contracts import ExitNetwork, Exporter, Runner
from edanas.core.errors import ExportError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import ImageSet
from edanas.deploy.c_code.all_files import c_files
from edanas.deploy.c_code.compiled import CRunner, find_compiler
from edanas.deploy.c_code.counted import counted_bytes
from edanas.deploy.c_code.decision import ONE
from edanas.deploy.c_code.network import IMAGES, IntNetwork, quantised, samples_for_c
from edanas.deploy.c_code.thresholds import matching_thresholds
from edanas.deploy.int8.network import QUANTIZED, int8_network
from edanas.deploy.manifest import check_folder, read_described, write_described
from edanas.deploy.segments import manifest_fields

_MOST, _BATCH = 2000, 256
_FORM, _VERSION = "edanas-c99", 1


class CExporter(Exporter):
    """Exporter of a folder of C99 that classifies images without a runtime, a heap or floating point.

    Weights and features have 8 bits, and features share one static array. Images of the calibration part set
    the scales. The thresholds are set anew on them, so that as many images leave at each exit as in the
    original network; for a network of a run whose candidates were quantised (setting `quantized`), as in its
    8-bit integers. `edanas_classify` returns at the exit that fires. If this machine has a C compiler, the
    files are compiled, run and checked after they are written.
    """

    exact = False
    needs_images = True
    fewest_images = 16
    ending = ".c99.json"

    def __init__(self) -> None:
        self.runs = find_compiler() is not None
        self._calibration: ImageSet | None = None
        self._validation: ImageSet | None = None

    def prepare(self, calibration: ImageSet, validation: ImageSet) -> None:
        """See `Exporter.prepare`."""
        self._calibration, self._validation = calibration, validation

    def check_layers(self, network: ExitNetwork) -> None:
        """See `Exporter.check_layers`."""
        quantised(network, network.noise(1))

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write the manifest `stem`.c99.json and the folder `stem`.c99, and return the paths of all files.

        Raises:
            RunError: The folder is missing or not writable.
            ExportError: A layer, the inference rule or the criterion cannot be expressed in C, or there are
                too few calibration images.
            CostError: The multiply-adds of a stage or a head cannot be counted.
        """
        check_folder(stem)
        calibration, validation = self._checked(stem)
        integers = quantised(network, calibration.images)
        judged = int8_network(network, calibration.images) if network.description.get(QUANTIZED) else network
        form = _Comparison.of(judged, integers, calibration)
        integers = integers.with_thresholds(matching_thresholds(form.confidences, form.counts))
        figures = _figures(network, integers, calibration, validation)
        executed = np.cumsum([segment.macs for segment in integers.segments]).tolist()
        folder = f"{stem.name}.c99"
        files = {
            f"{folder}/{name}": text.encode("ascii") for name, text in c_files(integers, executed).items()
        }
        size = network.image_size or network.input_size[::-1]
        description = {
            "format": _FORM,
            "format_version": _VERSION,
            **manifest_fields(network),
            "image_size": list(size),
            "segments": [
                {
                    "exit": segment.exit,
                    "threshold": segment.threshold / ONE if segment.exit < network.exit_points else None,
                    "executed_macs": macs,
                }
                for segment, macs in zip(integers.segments, executed, strict=True)
            ],
            "int8": figures,
        }
        return write_described(stem.with_name(f"{stem.name}{self.ending}"), description, files)

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Compile the files and open the library; `threads` has no effect.

        Raises:
            ExportError: A file is missing or damaged, or this machine has no C compiler.
        """
        manifest, sources = read_described(path, _FORM, _VERSION)
        try:
            return CRunner(path, manifest, sources)
        except (LookupError, TypeError, ValueError) as error:
            raise ExportError(f"{path}: its manifest is damaged: {type(error).__name__}: {error}") from error

    def summary(self, path: Path) -> str:
        """Return accuracy, utilization and bytes of both networks; `path` is the manifest."""
        figures = json.loads(path.read_text(encoding="utf-8"))["int8"]
        accuracy, shares = figures["accuracy"], figures["utilization"]
        counted = figures["counted_bytes"]
        ram, flash = (f" (counted: {each:,})" for each in counted) if counted else ("", "")
        return (
            f"int8: accuracy {accuracy['int8']:.2%} (float32: {accuracy['float32']:.2%}), utilization "
            f"{_percent(shares['int8'])} (float32: {_percent(shares['float32'])}) on "
            f"{figures['validation_images']} validation samples; RAM: arena {figures['arena_bytes']:,} bytes"
            f"{ram}, logits and memory of exits {figures['state_bytes']:,}; flash: weights and tables "
            f"{figures['constant_bytes']:,} bytes{flash}; scales and thresholds from "
            f"{figures['calibration_images']} calibration samples"
        )

    def _checked(self, stem: Path) -> tuple[ImageSet, ImageSet]:
        """Return the calibration and the validation images.

        Raises:
            ExportError: There are too few.
        """
        calibration, validation = self._calibration, self._validation
        if calibration is None or validation is None or not (len(calibration) and len(validation)):
            raise ExportError(
                f"{stem.name}: found no samples; `c` requires labelled samples for scales and thresholds, "
                "e.g. `edanas export MODEL --to c --data FOLDER`"
            )
        if len(calibration) < self.fewest_images:
            raise ExportError(
                f"{stem.name}: the calibration part is too small: found {len(calibration)} samples; `c` sets "
                f"scales and thresholds from {self.fewest_images} samples or more"
            )
        return calibration, validation


@dataclass(frozen=True)
class _Comparison:
    """Results of both networks on the same images.

    Args:
        labels: (S, E) predictions of the integers at each exit.
        confidences: (S, E) their confidences.
        counts: Number of images that leave the original network at each exit.
        predictions: (S,) predictions of the original network.
    """

    labels: Any
    confidences: Any
    counts: list[int]
    predictions: Any

    @classmethod
    def of(cls, network: ExitNetwork, integers: IntNetwork, samples: ImageSet) -> "_Comparison":
        """Run both networks on at most `_MOST` images."""
        images = samples_for_c(network, samples.images[:_MOST])
        training = network.training
        network.eval()
        try:
            with torch.inference_mode():
                original = [network(batch.to(network.device)) for batch in torch.split(images, _BATCH)]
        finally:
            network.train(training)
        exits = torch.cat([each.exit.cpu() for each in original]).numpy()
        labels, confidences = integers.answers(integers.logits(images.numpy()))
        counts = [int((exits == segment.exit).sum()) for segment in integers.segments]
        return cls(labels, confidences, counts, torch.cat([each.label.cpu() for each in original]).numpy())


def _figures(
    network: ExitNetwork, integers: IntNetwork, calibration: ImageSet, validation: ImageSet
) -> dict[str, Any]:
    """Return accuracy and utilization of both networks on the validation part, and bytes."""
    compared = _Comparison.of(network, integers, validation)
    truth = validation.labels[:_MOST].numpy()
    leave = integers.leave(compared.confidences)
    predictions = compared.labels[np.arange(len(truth)), leave]
    exits = np.arange(len(integers.segments))
    return {
        "accuracy": {
            "float32": float((compared.predictions == truth).mean()),
            "int8": float((predictions == truth).mean()),
        },
        "utilization": {
            "float32": [count / len(truth) for count in compared.counts],
            "int8": [float((leave == exit_).mean()) for exit_ in exits],
        },
        "validation_images": len(truth),
        "calibration_images": min(len(calibration), _MOST),
        "scale_images": min(len(calibration), IMAGES),
        "arena_bytes": integers.arena()[1],
        "counted_bytes": counted_bytes(network),
        "state_bytes": integers.state(),
        "constant_bytes": integers.constants(),
    }


def _percent(shares: list[float]) -> str:
    return "/".join(f"{100 * share:.0f}" for share in shares) + "%"


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """Register the exporter `c`."""
    return {"c": CExporter}
