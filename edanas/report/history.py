"""History of a search, read from the archive and the log of a run folder, during the run or after it."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.errors import RunError
from edanas.core.notes import surrogate_notes, typed_notes
from edanas.core.types import CONTINUOUS, Evaluation

LOG = "log.jsonl"
"""The log's name in a run folder; it has one line per evaluation and iteration."""

ITERATION = "edanas_iteration_finished"


@dataclass(frozen=True)
class Step:
    """A complete iteration; iteration 0 is the initial archive.

    Args:
        iteration: Its number.
        evaluated: Candidates in the archive after it.
        failed: Number of them that failed.
        hypervolume: In [0, 1].
        notes: Notes of the search strategy, e.g. `{"objective 1": "rbf tau 0.61"}`.
        feasible: Share of the iteration's candidates that keep all constraints; `None` = no constraints.
    """

    iteration: int
    evaluated: int
    failed: int
    hypervolume: float
    notes: Mapping[str, str] = field(default_factory=dict)
    feasible: float | None = None

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Step":
        """Read a line of the log, or an entry of `iterations` in `result.json`.

        Raises:
            LookupError, TypeError, ValueError: `value` is neither.
        """
        notes = typed_notes({str(name): str(text) for name, text in dict(value.get("notes") or {}).items()})
        counts = (int(value["iteration"]), int(value["evaluated"]), int(value["failed"]))
        share = value.get("feasible")
        return cls(*counts, float(value["hypervolume"]), notes, None if share is None else float(share))


@dataclass(frozen=True)
class Quality:
    """Rank correlation of one objective's surrogate on candidates that it was not fitted to.

    Args:
        iteration: Its number.
        objective: From 0.
        surrogate: The name of the model in use.
        tau: Kendall's rank correlation, in [-1, 1].
    """

    iteration: int
    objective: int
    surrogate: str
    tau: float


@dataclass(frozen=True)
class RunHistory:
    """The archive and the complete iterations of a run's search.

    Args:
        evaluations: The archive, in order; empty if there is none.
        steps: The complete iterations, in order.
        settings: The settings that the archive was created with, as plain values.
    """

    evaluations: tuple[Evaluation, ...] = ()
    steps: tuple[Step, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_history(folder: Path) -> RunHistory:
    """Read the archive and the log of the run in `folder`; a missing file counts as empty.

    Raises:
        RunError: The archive is damaged, or of another version.
    """
    steps = read_steps(folder)
    if not (folder / ARCHIVE).is_file():
        return RunHistory(steps=steps)
    with closing(Archive(folder, read_only=True)) as archive:
        evaluations = tuple(evaluation for _, evaluation in archive.replay())
        return RunHistory(evaluations, steps, archive.meta().get("settings") or {})


def read_steps(folder: Path) -> tuple[Step, ...]:
    """Read the complete iterations from the log.

    An interrupted run may have logged an iteration twice; the later line counts. Damaged lines are skipped.

    Raises:
        RunError: The log cannot be read.
    """
    path, steps = folder / LOG, {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    for line in lines:
        if ITERATION not in line:
            continue
        try:
            step = Step.of(json.loads(line))
        except (LookupError, TypeError, ValueError):
            continue
        steps[step.iteration] = step
    return tuple(steps[number] for number in sorted(steps))


def qualities(steps: Sequence[Step]) -> list[Quality]:
    """Return the surrogates' quality by iteration, as far as the strategy notes it."""
    return [
        Quality(step.iteration, objective, note.surrogate, note.tau)
        for step in steps
        for objective, note in surrogate_notes(step.notes)
    ]


def searches_backbones(settings: Mapping[str, Any]) -> bool:
    """Return whether the search evaluates backbones, since its thresholds are continuous.

    Each row of its archive is then a backbone with every exit and thresholds of 1. The figures of the row are
    those of the last exit, at the cost of the whole backbone and all heads. The hypervolume counts the
    backbone's trade-offs over thresholds instead.

    Args:
        settings: A run's settings, as plain values.
    """
    return settings.get("thresholds") == CONTINUOUS
