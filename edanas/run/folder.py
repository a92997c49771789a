"""A run's folder: what lies in it, and whether it belongs to the settings at hand."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.config import changed, resolve, to_plain, to_toml
from edanas.core.contracts import Evaluator, IterationSummary, Logger
from edanas.core.engine import SearchOutcome
from edanas.core.errors import EdanasError, RunError
from edanas.core.result_row import ResultRow
from edanas.core.runfolder import CONFIG, ENVIRONMENT, MODELS, left_files, matching_files, writing
from edanas.core.settings import Settings, labels
from edanas.core.space import SearchSpace
from edanas.core.types import DataParts, Evaluation, Metrics
from edanas.evaluation.examples import EARLY, EXAMPLES, LATE, WRONG
from edanas.evaluation.measured_times import FILE as TIMES
from edanas.evaluation.selection import pareto_set
from edanas.report.formatting import exits_text, mega, percent
from edanas.report.history import LOG, read_steps, searches_backbones
from edanas.report.result import FILE as RESULT
from edanas.report.writing import FURTHER
from edanas.run.compose import Composition
from edanas.run.provenance import digest_of_file, digest_of_parts, digest_of_teacher, environment

DEFAULT_PLACE = Path("edanas-runs")


CHANGEABLE = ("search.max_evals", "search.time_limit", "search.patience", "search.min_gain", "loggers")
"""Budgets end a search sooner or later and change nothing in what comes before; loggers change nothing."""

_OF_RESULTS = ("final_thresholds",)
"""What may change until a result is finished: what the search did does not depend on it."""

_PARTS = (
    TIMES,
    RESULT,
    LOG,
    CONFIG,
    ENVIRONMENT,
    "pareto.csv",
    "pareto.svg",
    "pareto.png",
    *FURTHER.values(),
    "report.html",
)
_LEFT = (
    f"{TIMES}.lock",
    *(f"{name}.partial" for name in _PARTS),
    f"{MODELS}/eenn-*",
    f"{MODELS}/*.row.json",
    f"{MODELS}/*.partial",
    f"{MODELS}/.*.partial",
    *(f"{EXAMPLES}/*-{kind}.*" for kind in (EARLY, LATE, WRONG)),
)
"""Patterns of a run's further files; a user's own in the same folders have other names."""

FILES = "files"
"""The archive's note with the patterns of the files that the evaluation and the loggers leave."""

_UNNOTED = {
    "evaluation": ["supernet.pt", "supernet.partial", "supernet.pt.partial"],
    "loggers": ["tensorboard/events.out.tfevents.*", "mlflow.json"],
}
"""The patterns for an archive of a version that did not note them."""


def fresh_folder(settings: Settings) -> Path:
    """A folder below `edanas-runs/` that does not exist yet, named by bundle, seed and time."""
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    stem = f"{settings.plugin}-seed{settings.seed}-{stamp}"
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

    def exists(self) -> bool:
        """Whether the folder holds a run, begun or finished."""
        return (self.folder / ARCHIVE).exists()

    def discard(self) -> None:
        """Delete what a run leaves in its folder, and nothing else; nothing where no run is."""
        if not self.exists():
            return
        patterns = (*_PARTS, *_LEFT, *self._noted_files())
        for path in matching_files(self.folder, patterns):
            path.unlink(missing_ok=True)
        parents = {parent for pattern in patterns for parent in PurePath(pattern).parents if parent.parts}
        folders = [path for parent in parents for path in self.folder.glob(str(parent)) if path.is_dir()]
        for path in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):  # it holds files that are not the run's
                path.rmdir()
        # Last, since it is what says that the rest belongs to a run.
        for name in (f"{ARCHIVE}-wal", f"{ARCHIVE}-shm", ARCHIVE):
            (self.folder / name).unlink(missing_ok=True)

    def _noted_files(self) -> list[str]:
        """Return the patterns that the archive notes, of the evaluation and the loggers."""
        try:
            with Archive(self.folder, read_only=True) as archive:
                noted = archive.meta().get(FILES, _UNNOTED)
        except EdanasError:
            noted = _UNNOTED
        return [*noted["evaluation"], *noted["loggers"]]

    def note_files(self, archive: Archive, evaluator: Evaluator, loggers: Iterable[Logger]) -> None:
        """Note the files of the evaluation and the loggers, so that `discard` finds them without the plugins.

        Raises:
            PluginError: One of them names files outside the run's folder.
        """
        new = {
            "evaluation": left_files(evaluator),
            "loggers": [pattern for logger in loggers for pattern in left_files(logger)],
        }
        known = archive.meta().get(FILES) or (_UNNOTED if archive.count() else dict.fromkeys(new, ()))
        archive.set_meta(FILES, {owner: sorted({*known[owner], *new[owner]}) for owner in new})

    def open_archive(self, evaluator: Evaluator | None = None) -> Archive:
        """The archive, after making sure that it is of these settings; a new one takes them.

        Args:
            evaluator: The evaluation, if it is made already; a folder without a run may hold none of its
                files.

        Raises:
            RunError: The folder holds a run with other settings, each of which is named, or files that a run
                would overwrite though no run wrote them.
        """
        own = matching_files(self.folder, left_files(evaluator)) if evaluator else []
        found = [path.name for path in own if path.suffix != ".partial"]
        found += [name for name in _PARTS if (self.folder / name).exists()]
        if found and not self.exists():
            raise RunError(
                f"{self.folder} holds {', '.join(found)} but no {ARCHIVE}, so this is no run, and running "
                "would overwrite them; choose another --out, or move them away"
            )
        archive = Archive(self.folder)
        try:
            self._bind_settings(archive)
        except BaseException:
            archive.close()
            raise
        return archive

    def write_inputs(self) -> None:
        """Write `config.toml`, which repeats the run, and `env.json`."""
        made_with = json.dumps(environment(self.settings), indent=2)
        for name, text in ((CONFIG, to_toml(self.settings)), (ENVIRONMENT, f"{made_with}\n")):
            partial = self.folder / f"{name}.partial"
            with writing(self.folder / name):
                partial.write_text(text, encoding="utf-8")
                partial.replace(self.folder / name)

    def _begun(self, archive: Archive) -> bool:
        """Whether there is anything yet that other settings would have made otherwise."""
        files = archive.meta().get(FILES, _UNNOTED)["evaluation"]
        return archive.count() > 0 or bool(matching_files(self.folder, files))

    def _bind_settings(self, archive: Archive) -> None:
        plain = to_plain(self.settings)
        stored = archive.meta().get("settings")
        if stored is not None and self._begun(archive):
            differing = changed(resolve([("", stored)]), self.settings)
            finished = any(self.folder.glob(f"{MODELS}/*.row.json"))
            allowed = CHANGEABLE if finished else (*CHANGEABLE, *_OF_RESULTS)
            refused = [line for line in differing if not line.startswith(allowed)]
            if refused:
                raise RunError(
                    f"{self.folder} holds a run with other settings. Changed: {'; '.join(refused)}. Use the "
                    "same settings to go on, another --out to start anew, or --overwrite to discard it"
                )
        if stored != plain:
            archive.set_meta("settings", plain)

    def bind_inputs(self, archive: Archive, space: SearchSpace, parts: DataParts) -> None:
        """Make sure that what the folder holds was made with this space, these images, weights and teacher.

        Raises:
            RunError: It was made with others, e.g. since a plugin was updated or an image was added.
        """
        weights, teacher, classes = self.settings.weights, self.settings.teacher, list(parts.train.classes)
        known = archive.meta()
        bound = (
            ("space", space.signature(), "of another search space", "a plugin updated"),
            ("classes", classes, f"on classes {known.get('classes')}, now {classes}", "a class renamed"),
            ("data", digest_of_parts(parts), "on other images", "the data set changed"),
            ("weights", digest_of_file(weights), f"with other weights in {weights}", "the file replaced"),
            (
                "teacher",
                digest_of_teacher(teacher),
                f"with another teacher in {teacher}",
                "the file replaced",
            ),
        )
        for key, value, other, cause in bound:
            if value is None:
                continue
            if self._begun(archive) and known.get(key, value) != value:
                raise RunError(
                    f"{self.folder} holds a run {other}, though its settings are the same; was {cause}? "
                    "Use another --out, or --overwrite to discard it"
                )
            archive.set_meta(key, value)

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

    def notifier(
        self, notify: Callable[..., None], say: Callable[[str], None] | None = None
    ) -> Callable[..., None]:
        """`notify`, after each event is written to `log.jsonl` and each candidate is told to `say`."""

        def tell(event: str, **arguments: Any) -> None:
            for value in arguments.values():
                self.log(event, value)
                if say and isinstance(value, Evaluation):
                    say(in_a_line(value, backbones=searches_backbones(self.plain_settings())))
            notify(event, **arguments)

        return tell

    def log(self, event: str, value: Evaluation | IterationSummary) -> None:
        """One line of `log.jsonl`."""
        line: dict[str, Any] = {"time": datetime.now().astimezone().isoformat(), "event": event}
        if isinstance(value, Evaluation):
            line |= {"id": value.candidate.id, "iteration": value.iteration, "error": value.error}
            line |= {"metrics": value.metrics.to_dict() if value.metrics else None, "seconds": value.seconds}
            line |= {"violation": value.violation}
        else:
            line |= {k: v for k, v in asdict(value).items() if k != "newest"}
        path = self.folder / LOG
        with writing(path), path.open("a+b") as file:
            # A line that was cut off, by a full disk say, must not take this one along.
            torn = file.tell() and (file.seek(-1, os.SEEK_END), file.read())[1] != b"\n"
            file.write(b"\n" * bool(torn) + json.dumps(line).encode() + b"\n")

    def plain_settings(self) -> dict[str, Any]:
        """The settings in JSON's types."""
        return to_plain(self.settings)

    def content(
        self,
        made: Composition,
        outcome: SearchOutcome,
        searched: Sequence[Evaluation],
        front: Sequence[ResultRow],
        static: Sequence[ResultRow],
        unfinished: Sequence[Mapping[str, str]],
    ) -> dict[str, Any]:
        """What `result.json` holds."""
        evaluations = outcome.evaluations
        return {
            "front": [row.to_json() for row in front],
            "static_front": [row.to_json() for row in static],
            "pareto": [_searched(e) for e in pareto_set(searched, made.objectives)],
            "candidates": [_in_numbers(e, e.metrics) for e in searched if e.metrics],
            "objectives": [
                {"name": name, "unit": objective.unit, "maximise": objective.maximise}
                for name, objective in zip(labels(self.settings.objectives), made.objectives, strict=True)
            ],
            "values": [[o.value(e.metrics) for o in made.objectives] for e in searched if e.metrics],
            "violations": [e.violation for e in searched if e.metrics],
            "failures": [
                *({"id": e.candidate.id, "error": e.error} for e in evaluations if not e.ok),
                *unfinished,
            ],
            "hypervolume": list(outcome.hypervolumes),
            "iterations": [asdict(step) for step in read_steps(self.folder)],
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
            "environment": environment(self.settings),
            "settings": self.plain_settings(),
            "seed": self.settings.seed,
        }


def in_a_line(evaluation: Evaluation, *, backbones: bool = False) -> str:
    """A candidate for people: iteration, id, exits, and what came of it on the validation part.

    Args:
        evaluation: The candidate's.
        backbones: The search is one of backbones: told is the network without early exits.
    """
    candidate, metrics = evaluation.candidate, evaluation.metrics
    what = "backbone" if backbones else exits_text(candidate.scheme.exits)
    found = f"failed: {evaluation.error}"
    if metrics is not None and backbones:
        accuracy, macs = percent(metrics.backbone_accuracy), mega(metrics.backbone_macs)
        found = f"without early exits validation accuracy {accuracy}%, {macs}M MACs"
    elif metrics is not None:
        found = f"validation accuracy {percent(metrics.accuracy)}%, ADA_MACS {mega(metrics.ada_macs)}M"
    if evaluation.violation:
        found += f", violation {evaluation.violation:.3g}"
    return f"iteration {evaluation.iteration}: {candidate.id}, {what}, {found}"


def _in_numbers(evaluation: Evaluation, metrics: Metrics) -> list[float]:
    exits = evaluation.candidate.scheme.exits
    return [metrics.executed_macs, metrics.accuracy, evaluation.iteration, exits]


def _searched(evaluation: Evaluation) -> dict[str, Any]:
    """A candidate as the search saw it, on the validation part."""
    metrics, candidate = evaluation.metrics, evaluation.candidate
    if metrics is None:
        raise ValueError(f"candidate {candidate.id} has no metrics")
    return {
        "id": candidate.id,
        "iteration": evaluation.iteration,
        "violation": evaluation.violation,
        "exits": candidate.scheme.exits,
        "thresholds": list(candidate.scheme.thresholds),
        "utilization": list(metrics.utilization),
        "validation_accuracy": metrics.accuracy,
        "ada_macs": metrics.ada_macs,
        "executed_macs": metrics.executed_macs,
        "backbone_macs": metrics.backbone_macs,
        "backbone_validation_accuracy": metrics.backbone_accuracy,
        "params": metrics.params,
        "activations": metrics.activations,
        "backbone": dict(candidate.backbone.choices),
    }
