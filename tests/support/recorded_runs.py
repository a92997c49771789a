"""Hand-made evaluations and run folders."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edanas.core.archive import Archive
from edanas.core.types import Backbone, Candidate, Evaluation, Metrics, SelectionScheme


def candidate(number: int, more: dict[str, Any] | None = None) -> Candidate:
    choices = {"resolution": 16, "s1.depth": number, "s1.l1.kernel": 3, "s1.l2.kernel": 5, "s2.l1.kernel": 7}
    return Candidate(Backbone.of({**choices, **(more or {})}), SelectionScheme((0.1, 0.2)))


def evaluated(
    number: int, accuracy: float, macs: float, iteration: int, more: dict[str, Any] | None = None
) -> Evaluation:
    metrics = Metrics(
        accuracy=accuracy,
        utilization=(0.2, 0.3, 0.5),
        exit_accuracy=(0.9, 0.9, 0.8),
        ada_macs=macs,
        executed_macs=macs,
        backbone_accuracy=accuracy,
        backbone_macs=int(2 * macs),
        params=100,
        activations=10,
    )
    return Evaluation(candidate(number, more), iteration, metrics, None, 0.5)


def failed(number: int, error: str, iteration: int = 0) -> Evaluation:
    return Evaluation(candidate(number), iteration, None, error, 0.1)


SETTINGS = {
    "objectives": ["accuracy", "ada-macs"],
    "search": {"initial": 4, "iterations": 2, "per_iteration": 2, "max_evals": 0},
}


def record(archive: Archive, evaluations: Sequence[Evaluation]) -> None:
    for each in evaluations:
        archive.append(each, np.array([archive.count()], dtype=np.int64))


def log(folder: Path, iteration: int, hypervolume: float, notes: dict[str, str] | None = None) -> None:
    line = {
        "event": "edanas_iteration_finished",
        "iteration": iteration,
        "evaluated": 4 + 2 * iteration,
        "failed": 1,
        "hypervolume": hypervolume,
        "notes": notes or {},
    }
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
