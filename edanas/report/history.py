"""History of a search, read from the archive and the log in a run folder, during the run or after it."""

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.errors import RunError
from edanas.core.notes import surrogate_note, surrogate_notes
from edanas.core.records import CHECKSUM, MISMATCH, parse, unsealed
from edanas.core.types import CONTINUOUS, Evaluation

LOG = "log.jsonl"
"""Name of the log in a run folder; it has one line for each evaluation and each iteration."""

_SEALED_END = re.compile(rb'"checksum": "[0-9a-f]{16}"\}')
"""End of a line with a checksum."""

ITERATION = "edanas_iteration_finished"
"""Name of the log's event at the end of an iteration."""

PLAIN_FINISHED = "edanas_plain_network_finished"
"""Name of the log's event for a finished plain network."""


@dataclass(frozen=True)
class Step:
    """A complete iteration of a search; iteration 0 evaluates the initial archive.

    Args:
        iteration: Number of the iteration, from 0.
        evaluated: Number of candidates in the archive after the iteration.
        failed: Number of failed candidates in the archive after the iteration.
        hypervolume: Normalised hypervolume of the archive after the iteration, in [0, 1].
        notes: Notes of the search strategy, e.g. `{"objective 1": "rbf tau 0.61"}`.
        feasible: Fraction of the iteration's candidates that keep all constraints; `None` = the run has no
            constraints.
    """

    iteration: int
    evaluated: int
    failed: int
    hypervolume: float
    notes: Mapping[str, str] = field(default_factory=dict)
    feasible: float | None = None

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Step":
        """Read an iteration from JSON values.

        Args:
            value: A line of the log, or an entry of `iterations` in `result.json`.

        Raises:
            LookupError: A key is missing.
            TypeError: `value` is not a mapping, or an entry has the wrong type.
            ValueError: An entry is not a number.
        """
        notes = typed_notes({str(name): str(text) for name, text in dict(value.get("notes") or {}).items()})
        counts = (int(value["iteration"]), int(value["evaluated"]), int(value["failed"]))
        share = value.get("feasible")
        return cls(*counts, float(value["hypervolume"]), notes, None if share is None else float(share))


@dataclass(frozen=True)
class SurrogateQuality:
    """Quality of the surrogate of one objective in one iteration.

    Args:
        iteration: Number of the iteration, from 0.
        objective: Index of the objective, from 0.
        surrogate: Name of the regressor, e.g. `rbf`.
        tau: Kendall's rank correlation, in [-1, 1], of predicted and measured values. It is computed on
            candidates that the surrogate was not fitted to.
    """

    iteration: int
    objective: int
    surrogate: str
    tau: float


@dataclass(frozen=True)
class RunHistory:
    """The archive and the complete iterations of a run.

    Args:
        evaluations: The evaluated candidates in the order of their evaluation; empty without an archive.
        steps: The complete iterations in ascending order.
        settings: The run's settings as values of JSON's types; empty without an archive.
    """

    evaluations: tuple[Evaluation, ...] = ()
    steps: tuple[Step, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_history(folder: Path) -> RunHistory:
    """Read the archive and the log of a run. A missing file counts as empty.

    Args:
        folder: The run folder.

    Raises:
        RunError: The archive is damaged or has the format of another version, or the log cannot be read.
    """
    steps = read_steps(folder)
    if not (folder / ARCHIVE).is_file():
        return RunHistory(steps=steps)
    with closing(Archive(folder, read_only=True)) as archive:
        evaluations = tuple(evaluation for _, evaluation in archive.replay())
        return RunHistory(evaluations, steps, archive.meta().get("settings") or {})


def read_steps(folder: Path) -> tuple[Step, ...]:
    """Read the complete iterations from the log of a run, in ascending order.

    If an iteration was logged twice, because the run was interrupted and resumed, the later line counts.

    Args:
        folder: The run folder.

    Raises:
        RunError: The log cannot be read, or a line is damaged.
    """
    records, damage = read_log(folder)
    if damage:
        raise RunError(
            f"{folder / LOG}: {damage}; the command that made the run, `edanas run` with --out {folder}, "
            "writes the log again from the archive"
        )
    steps = {}
    for record in records:
        if record.get("event") == ITERATION:
            with contextlib.suppress(LookupError, TypeError, ValueError):
                step = Step.of(record)
                steps[step.iteration] = step
    return tuple(steps[number] for number in sorted(steps))


def read_log(folder: Path) -> tuple[list[dict[str, Any]], str]:
    """Read the intact records of the log of a run.

    The last line may be incomplete, because a process was killed while it wrote the line. Before the first
    line with a checksum, which an older version wrote, any line may be incomplete.

    Args:
        folder: The run folder; a missing log counts as empty.

    Returns:
        The records without their checksums, and a description of the first damaged line; empty if there is
        none.

    Raises:
        RunError: The log cannot be read.
    """
    path = folder / LOG
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], ""
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    *lines, last = content.split(b"\n")
    records, damage, is_sealed = [], "", False
    for number, line in enumerate((*lines, last) if last else lines, 1):
        is_sealed = is_sealed or f'"{CHECKSUM}": "'.encode() in line
        try:
            records.append(unsealed(parse(line)))
        except ValueError as error:
            is_complete = number <= len(lines) or _SEALED_END.search(line)
            if is_sealed and is_complete and not damage:
                damage = f"line {number} {MISMATCH if isinstance(error, json.JSONDecodeError) else error}"
    return records, damage


def qualities(steps: Sequence[Step]) -> list[SurrogateQuality]:
    """Return the qualities of the surrogates from the notes of the search strategy, by iteration.

    The result is empty if the strategy notes none.
    """
    return [
        SurrogateQuality(step.iteration, objective, note.surrogate, note.tau)
        for step in steps
        for objective, note in surrogate_notes(step.notes)
    ]


def typed_notes(notes: Mapping[str, str]) -> dict[str, str]:
    """Return the notes with a `SurrogateNote` in place of text such as `{"objective 1": "rbf tau 0.61"}`.

    A log holds every note as plain text. Other notes stay as they are, and no text changes.

    Example:
        >>> typed_notes({"objective 1": "rbf tau 0.61", "radius": "0.2"})["objective 1"].tau
        0.61
    """
    return {name: _typed(name, text) for name, text in notes.items()}


def _typed(name: str, text: str) -> str:
    objective = re.fullmatch(r"objective (\d+)", name)
    match = re.fullmatch(r"(.+) tau (-?\d+(?:\.\d+)?)", text)
    if not (objective and match):
        return text
    return surrogate_note(text, match[1], float(match[2]), int(objective[1]) - 1)


def searches_backbones(settings: Mapping[str, Any]) -> bool:
    """Return `True` if the archive of a run holds backbones, because the thresholds are continuous.

    Each entry of the archive is then a backbone with all exits and thresholds of 1. Its accuracy is the
    accuracy of the last exit, and its cost is the cost of the backbone and all heads. The hypervolume, in
    contrast, is computed from the backbones' Pareto-optimal thresholds.

    Args:
        settings: The run's settings as values of JSON's types.
    """
    return settings.get("thresholds") == CONTINUOUS
