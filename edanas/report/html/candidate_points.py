"""Points of the chart: the candidates of a search, or its trade-offs over continuous thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edanas.core.types import Evaluation
from edanas.numerics.pareto import non_dominated
from edanas.report.formatting import backbone_text, exits_text, mega, percent, scheme_text
from edanas.report.history import RunHistory, searches_backbones
from edanas.report.html.charts import Point
from edanas.report.result import Result

MOST = 1500
"""Maximum number of points in a chart, to bound the size of the page. The front is always drawn."""

_RADIUS = 3.2


@dataclass(frozen=True)
class CandidatePoints:
    """The successful candidates of a search, by accuracy and cost on the validation part before fine-tuning.

    Args:
        name: Plural noun for the points, for the legend.
        dots: One point for each drawn candidate.
        left_out: Number of candidates that are not drawn; default 0. The front is always drawn.
    """

    name: str
    dots: Sequence[Point]
    left_out: int = 0

    @property
    def dated(self) -> bool:
        """`True` if the iteration of each point is known."""
        return all(dot.iteration is not None for dot in self.dots)


def candidate_points(result: Result, history: RunHistory) -> CandidatePoints:
    """Return the points of the candidates of a search.

    The candidates are read from the archive or, without an archive, from `result.json`. For a search with
    continuous thresholds, the points are the trade-offs in `result.json`, since the archive holds only
    backbones with all exits.
    """
    values = result.data.get("candidates") or []
    if searches_backbones(result.settings):
        name = "trade-offs of the search, each a backbone with its thresholds,"
        return _thinned(name, _trade_offs(values, result.pareto))
    name = "candidates of the search"
    if history.evaluations:
        return _thinned(name, [_archived(each) for each in history.evaluations if each.metrics is not None])
    return _thinned(name, [_anonymous("A candidate of the search", each) for each in values])


def _trade_offs(values: Sequence[Sequence[float]], pareto: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Return one point for each distinct trade-off. Points of the Pareto set come last and are drawn on top.

    Args:
        values: Entries of `candidates` in `result.json`: executed MACs, accuracy, iteration, number of exits.
        pareto: Entries of `pareto` in `result.json`.
    """
    optimal = {(row["executed_macs"], row["validation_accuracy"]): row for row in reversed(pareto)}
    others = {(each[0], each[1]): each for each in reversed(values) if (each[0], each[1]) not in optimal}
    dots = [_anonymous("A trade-off of the search", each) for each in reversed(others.values())]
    dots += [_optimal(row) for row in reversed(optimal.values())]
    # Newer points are drawn bolder, which would mislead if some iterations are unknown.
    undated = any(dot.iteration is None for dot in dots)
    return [replace(dot, iteration=None) for dot in dots] if undated else dots


def _thinned(name: str, dots: list[Point]) -> CandidatePoints:
    """Return all points of the front and about `MOST` evenly spaced points, or all if there are few."""
    if len(dots) <= MOST:
        return CandidatePoints(name, dots)
    best = non_dominated(np.array([[dot.x, -dot.y] for dot in dots]))
    drawn = set(np.flatnonzero(best)) | set(np.linspace(0, len(dots) - 1, MOST).astype(int))
    chosen = [dot for number, dot in enumerate(dots) if number in drawn]
    return CandidatePoints(name, chosen, len(dots) - len(drawn))


def _figures(name: str, accuracy: float, macs: float) -> str:
    """Return the first lines of a point's description."""
    return f"{name}\nvalidation accuracy {percent(accuracy)}% at {mega(macs)}M executed MACs"


def _anonymous(name: str, values: Sequence[float]) -> Point:
    """Return the point of an entry of `candidates`, whose iteration and number of exits may be missing."""
    macs, accuracy, *more = values
    if len(more) < 2:
        return Point(macs / 1e6, 100 * accuracy, _figures(name, accuracy, macs), "dot", radius=_RADIUS)
    iteration, exits = int(more[0]), int(more[1])
    title = f"{_figures(f'{name}, iteration {iteration}', accuracy, macs)}\n{exits_text(exits)}"
    return Point(macs / 1e6, 100 * accuracy, title, _kind(exits), iteration=iteration, radius=_RADIUS)


def _optimal(row: Mapping[str, Any]) -> Point:
    """Return the point of an entry of `pareto`."""
    macs, accuracy, iteration = row["executed_macs"], row["validation_accuracy"], int(row["iteration"])
    exits = int(row["exits"])
    lines = [
        _figures(f"Trade-off {row['id']}, iteration {iteration}", accuracy, macs)
        + f" (ADA_MACS {mega(row['ada_macs'])}M)",
        scheme_text(exits, row["thresholds"]),
        f"backbone: {backbone_text(row['backbone'])}",
    ]
    title = "\n".join(lines)
    return Point(macs / 1e6, 100 * accuracy, title, _kind(exits), iteration=iteration, radius=_RADIUS)


def _archived(evaluation: Evaluation) -> Point:
    """Return the point of a candidate in the archive."""
    candidate, metrics = evaluation.candidate, evaluation.metrics
    if metrics is None:
        raise ValueError(f"candidate {candidate.id} has no metrics")
    macs, scheme, iteration = metrics.executed_macs, candidate.scheme, evaluation.iteration
    lines = [
        _figures(f"Candidate {candidate.id}, iteration {iteration}", metrics.accuracy, macs)
        + f" (ADA_MACS {mega(metrics.ada_macs)}M)",
        scheme_text(scheme.exits, scheme.thresholds),
        f"backbone: {backbone_text(dict(candidate.backbone.choices))}",
    ]
    title, kind = "\n".join(lines), _kind(scheme.exits)
    return Point(macs / 1e6, 100 * metrics.accuracy, title, kind, iteration=iteration, radius=_RADIUS)


def _kind(exits: int) -> str:
    """Return the classes in the style sheet for a candidate with `exits` early exits."""
    return "dot several" if exits else "dot none"
