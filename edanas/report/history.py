"""How a search went: what its archive and its log say, while it runs or afterwards. Nothing is changed."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.errors import RunError
from edanas.core.notes import surrogate_notes
from edanas.core.types import CONTINUOUS, Evaluation

LOG = "log.jsonl"
"""The log's name in a run's folder: a line for each evaluation and iteration."""

ITERATION = "edanas_iteration_finished"


@dataclass(frozen=True)
class Step:
    """One complete iteration, 0 being the initial archive.

    Args:
        iteration: Its number.
        evaluated: Candidates in the archive after it.
        failed: How many of them failed.
        hypervolume: In [0, 1].
        notes: What the search strategy noted, e.g. `{"objective 1": "rbf tau 0.61"}`.
        feasible: Share of the iteration's candidates that keep all constraints; `None` where there are none.
    """

    iteration: int
    evaluated: int
    failed: int
    hypervolume: float
    notes: Mapping[str, str] = field(default_factory=dict)
    feasible: float | None = None

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Step":
        """From a line of the log, or from an entry of `iterations` in `result.json`.

        Raises:
            LookupError, TypeError, ValueError: It is no such thing.
        """
        notes = {str(name): str(text) for name, text in dict(value.get("notes") or {}).items()}
        counts = (int(value["iteration"]), int(value["evaluated"]), int(value["failed"]))
        share = value.get("feasible")
        return cls(*counts, float(value["hypervolume"]), notes, None if share is None else float(share))


@dataclass(frozen=True)
class Quality:
    """How well the surrogate of one objective ranked candidates that it had not seen, in one iteration.

    Args:
        iteration: Its number.
        objective: From 0.
        surrogate: The name of the model in use.
        tau: Kendall's rank correlation, -1 to 1.
    """

    iteration: int
    objective: int
    surrogate: str
    tau: float


@dataclass(frozen=True)
class History:
    """What a run's folder says about its search.

    Args:
        evaluations: The archive, in order; empty where there is none.
        steps: The complete iterations, in order.
        settings: What the archive was begun with, as plain values.
    """

    evaluations: tuple[Evaluation, ...] = ()
    steps: tuple[Step, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_history(folder: Path) -> History:
    """The archive and the log of the run in `folder`; empty where there are none.

    Raises:
        RunError: The archive is damaged, or of another version.
    """
    steps = read_steps(folder)
    if not (folder / ARCHIVE).is_file():
        return History(steps=steps)
    with closing(Archive(folder, read_only=True)) as archive:
        evaluations = tuple(evaluation for _, evaluation in archive.replay())
        return History(evaluations, steps, archive.meta().get("settings") or {})


def read_steps(folder: Path) -> tuple[Step, ...]:
    """The complete iterations by the log; of one told twice, across an interruption, the later telling.

    Raises:
        RunError: The log cannot be read.
    """
    path, found = folder / LOG, {}
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
            continue  # cut off by a kill or a full disk
        found[step.iteration] = step
    return tuple(found[number] for number in sorted(found))


def qualities(steps: Sequence[Step]) -> list[Quality]:
    """The surrogates' quality by iteration, as far as the strategy notes one."""
    return [Quality(step.iteration, *note) for step in steps for note in surrogate_notes(step.notes)]


def of_backbones(settings: Mapping[str, Any]) -> bool:
    """Whether the search is one of backbones with continuous thresholds.

    A row of its archive is then a backbone with all exits and thresholds of 1. What it is worth are all of
    its trade-offs, which the hypervolume counts; the row's own figures are the last exit's at the cost of the
    whole backbone and of all heads.

    Args:
        settings: A run's, as plain values.
    """
    return settings.get("thresholds") == CONTINUOUS
