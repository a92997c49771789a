"""A run's folder: what lies in it, and whether it belongs to the settings at hand."""

import importlib.metadata
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from edanas.compose import Composition, device_of, threads_of
from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.config import changed, resolve, to_plain, to_toml
from edanas.core.contracts import IterationSummary
from edanas.core.engine import SearchOutcome
from edanas.core.errors import EdanasError, RunError
from edanas.core.settings import Settings
from edanas.core.space import SearchSpace
from edanas.core.types import Evaluation
from edanas.core.version import VERSION
from edanas.evaluation.finish import MODELS
from edanas.evaluation.selection import pareto_set
from edanas.report.result import FILE as RESULT

CONFIG, ENVIRONMENT, LOG = "config.toml", "env.json", "log.jsonl"
DEFAULT_PLACE = Path("edanas-runs")

CHANGEABLE = ("search.max_evals", "search.time_limit")
"""Budgets: they end a search sooner or later, and change nothing in what comes before."""

_PARTS = (
    "supernet.pt",
    RESULT,
    LOG,
    CONFIG,
    ENVIRONMENT,
    "pareto.csv",
    "pareto.svg",
    "pareto.png",
    "report.html",
)
_PACKAGES = (
    "edanas",
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "pymoo",
    "xgboost",
    "ofa",
    "timm",
)


def fresh_folder(settings: Settings) -> Path:
    """A folder below `edanas-runs/` that does not exist yet, named by bundle and time."""
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    stem = f"{settings.plugin}-{stamp}"
    return next(
        path
        for number in range(1, 1000)
        if not (path := DEFAULT_PLACE / (stem if number == 1 else f"{stem}-{number}")).exists()
    )


class RunData:
    """The files of one run, held by this process.

    Args:
        folder: The run's folder; it exists and is locked.
        settings: The settings of the run that is to start, or to go on.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings
        self.seconds: dict[str, float] = {}

    def discard(self) -> None:
        """Delete what a run leaves in its folder, and nothing else."""
        for name in (*_PARTS, ARCHIVE, f"{ARCHIVE}-wal", f"{ARCHIVE}-shm"):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / MODELS, ignore_errors=True)

    def open_archive(self) -> Archive:
        """The archive, after making sure that it is of these settings; a new one takes them.

        Raises:
            RunError: The folder holds a run with other settings, each of which is named.
        """
        archive = Archive(self.folder)
        try:
            self._bind_settings(archive)
        except BaseException:
            archive.close()
            raise
        (self.folder / CONFIG).write_text(to_toml(self.settings), encoding="utf-8")
        environment = json.dumps(self.environment(), indent=2)
        (self.folder / ENVIRONMENT).write_text(environment + "\n", encoding="utf-8")
        return archive

    def _bind_settings(self, archive: Archive) -> None:
        plain = to_plain(self.settings)
        stored = archive.meta().get("settings")
        if stored is not None:
            differing = changed(resolve([("", stored)]), self.settings)
            refused = [line for line in differing if not line.startswith(CHANGEABLE)]
            if refused:
                raise RunError(
                    f"{self.folder} holds a run with other settings. Changed: {'; '.join(refused)}. Use the "
                    "same settings to go on, another --out to start anew, or --overwrite to discard it"
                )
        archive.set_meta("settings", plain)

    def bind_space(self, archive: Archive, space: SearchSpace) -> None:
        """Make sure that the archive's genomes are of this space.

        Raises:
            RunError: They are of another one, e.g. since a plugin was updated.
        """
        found = archive.meta().get("space", space.signature())
        if found != space.signature():
            raise RunError(
                f"{self.folder} holds a run of another search space, though its settings are the same; was a "
                "plugin updated? Use another --out, or --overwrite to discard it"
            )
        archive.set_meta("space", space.signature())

    def finished(self) -> bool:
        """Whether this run's result is written, with these budgets."""
        try:
            stored = json.loads((self.folder / RESULT).read_text(encoding="utf-8"))["settings"]
            return resolve([("", stored)]) == self.settings
        except (OSError, ValueError, LookupError, TypeError, EdanasError):
            return False

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Note how long a part takes."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[part] = round(time.monotonic() - start, 2)

    def notifier(self, notify: Callable[..., None]) -> Callable[..., None]:
        """`notify`, with each event written to `log.jsonl` first."""

        def tell(event: str, **arguments: Any) -> None:
            for value in arguments.values():
                self.log(event, value)
            notify(event, **arguments)

        return tell

    def log(self, event: str, value: Evaluation | IterationSummary) -> None:
        """One line of `log.jsonl`."""
        line: dict[str, Any] = {"time": datetime.now().astimezone().isoformat(), "event": event}
        if isinstance(value, Evaluation):
            line |= {"id": value.candidate.id, "iteration": value.iteration, "error": value.error}
            line |= {"metrics": value.metrics.to_dict() if value.metrics else None, "seconds": value.seconds}
        else:
            line |= {k: v for k, v in asdict(value).items() if k != "newest"}
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def plain_settings(self) -> dict[str, Any]:
        """The settings in JSON's types."""
        return to_plain(self.settings)

    def environment(self) -> dict[str, Any]:
        """Versions, machine, seed and device: what a repetition needs to know."""
        device = device_of(self.settings)
        return {
            "versions": {"python": platform.python_version(), **_versions()},
            "platform": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
            "threads": threads_of(self.settings),
            "seed": self.settings.seed,
        }

    def content(
        self,
        made: Composition,
        outcome: SearchOutcome,
        front: Sequence[Mapping[str, Any]],
        static: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:
        """What `result.json` holds."""
        evaluations = outcome.evaluations
        return {
            "front": list(front),
            "static_front": list(static),
            "pareto": [_searched(e) for e in pareto_set(evaluations, made.objectives)],
            "candidates": [[e.metrics.executed_macs, e.metrics.accuracy] for e in evaluations if e.metrics],
            "failures": [{"id": e.candidate.id, "error": e.error} for e in evaluations if not e.ok],
            "hypervolume": list(outcome.hypervolumes),
            "evaluations": len(evaluations),
            "failed": sum(not e.ok for e in evaluations),
            "stopped": outcome.stopped,
            "classes": list(made.workbench.parts.train.classes),
            "samples": {
                name: len(getattr(made.workbench.parts, name))
                for name in ("train", "calibration", "validation", "test")
            },
            "remarks": list(made.remarks),
            "seconds": dict(self.seconds),
            "environment": self.environment(),
            "settings": self.plain_settings(),
            "seed": self.settings.seed,
        }


def _searched(evaluation: Evaluation) -> dict[str, Any]:
    """A candidate as the search saw it, on the validation part."""
    metrics, candidate = evaluation.metrics, evaluation.candidate
    if metrics is None:
        raise ValueError(f"candidate {candidate.id} has no metrics")
    return {
        "id": candidate.id,
        "iteration": evaluation.iteration,
        "exits": candidate.scheme.exits,
        "thresholds": list(candidate.scheme.thresholds),
        "utilization": list(metrics.utilization),
        "validation_accuracy": metrics.accuracy,
        "ada_macs": metrics.ada_macs,
        "executed_macs": metrics.executed_macs,
        "backbone_macs": metrics.backbone_macs,
        "backbone_validation_accuracy": metrics.backbone_accuracy,
        "params": metrics.params,
        "backbone": dict(candidate.backbone.choices),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = VERSION if name == "edanas" else "missing"
    return found
