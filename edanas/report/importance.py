"""Importance of the searched choices: reading it from results, and its mean over seeds."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOTE = (
    "The importance of a choice is the loss of a surrogate's R2 when the choice is permuted among the "
    "evaluated candidates: 0 = without effect. tau is the rank correlation of the surrogate in a "
    "cross-validation; the importances of a surrogate with a low tau mean little."
)
"""Explanation of the tables."""


@dataclass(frozen=True)
class Importance:
    """Importance of the variables of a search for one objective.

    Args:
        objective: Name of the objective.
        tau: Kendall's tau of the surrogate in a cross-validation, -1 to 1.
        genes: Importance by the name of a variable, the largest first.
    """

    objective: str
    tau: float
    genes: Mapping[str, float]


def read_importance(rows: object) -> list[Importance]:
    """Return the importances in the entry `importance` of a result; rows that cannot be read are left out.

    Example:
        >>> read_importance([{"objective": "error", "tau": 0.8, "genes": {"width": 0.6}}])[0].genes
        {'width': 0.6}
    """
    read = []
    for row in rows if isinstance(rows, list) else []:
        try:
            genes = {str(name): float(value) for name, value in row["genes"].items()}
            read.append(Importance(str(row["objective"]), float(row["tau"]), genes))
        except (LookupError, TypeError, ValueError, AttributeError):
            continue
    return read


def mean_importance(runs: Sequence[Iterable[Importance]]) -> list[Importance]:
    """Return the means over runs, for each objective that all runs have; missing variables count as 0."""
    by_run = [{each.objective: each for each in run} for run in runs]
    means = []
    for objective in by_run[0] if by_run else ():
        several = [run[objective] for run in by_run if objective in run]
        if len(several) < len(by_run):
            continue
        names = dict.fromkeys(name for each in several for name in each.genes)
        genes = {name: statistics.fmean(each.genes.get(name, 0.0) for each in several) for name in names}
        ordered = dict(sorted(genes.items(), key=lambda item: -item[1]))
        means.append(Importance(objective, statistics.fmean(each.tau for each in several), ordered))
    return means


def most_important(importances: Sequence[Importance], count: int) -> list[str]:
    """Return the names of at most `count` variables, by their largest importance for an objective."""
    largest: dict[str, float] = {}
    for each in importances:
        for name, value in each.genes.items():
            largest[name] = max(value, largest.get(name, 0.0))
    return sorted(largest, key=lambda name: -largest[name])[:count]


def as_json(importances: Iterable[Importance]) -> list[dict[str, Any]]:
    """Return importances as dictionaries with `objective`, `tau` and `genes`."""
    return [{"objective": each.objective, "tau": each.tau, "genes": dict(each.genes)} for each in importances]
