"""What the search found, as points of the chart: candidates or, of a search of backbones, trade-offs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edanas.core.types import Evaluation
from edanas.numerics.pareto import non_dominated
from edanas.report.history import History, of_backbones
from edanas.report.html.charts import Point
from edanas.report.result import Result
from edanas.report.words import Row, backbone_words, in_words, mega, percent, thresholds

MOST = 1500
"""Points drawn at most: more would make the page large, and are a blur anyway."""

_RADIUS = 3.2


@dataclass(frozen=True)
class Searched:
    """What the search found.

    Args:
        name: What the points are.
        dots: One for each that succeeded, on the validation part and before fine-tuning.
        left_out: How many are not among `dots`; the front always is.
    """

    name: str
    dots: Sequence[Point]
    left_out: int = 0

    @property
    def dated(self) -> bool:
        """Whether it is known when each one came."""
        return all(dot.iteration is not None for dot in self.dots)


def searched(result: Result, history: History) -> Searched:
    """What to draw: the archive's candidates, or what `result.json` keeps of them.

    An archive of backbones is not drawn: a row there is a backbone with all exits and thresholds of 1, while
    what it is worth are its trade-offs, which only the result holds.
    """
    kept = result.data.get("candidates") or []
    if of_backbones(result.settings):
        name = "trade-offs of the search, each a backbone with its thresholds,"
        return _thinned(name, _trade_offs(kept, result.pareto))
    name = "candidates of the search"
    if history.evaluations:
        return _thinned(name, [_evaluated(each) for each in history.evaluations if each.metrics is not None])
    return _thinned(name, [_kept("A candidate of the search", each) for each in kept])


def _trade_offs(kept: Sequence[Sequence[float]], pareto: Sequence[Row]) -> list[Point]:
    """Those of the Pareto set named, and last, to lie on top; of equal points the first."""
    named = {(row["executed_macs"], row["validation_accuracy"]): row for row in reversed(pareto)}
    others = {(each[0], each[1]): each for each in reversed(kept) if (each[0], each[1]) not in named}
    dots = [_kept("A trade-off of the search", each) for each in reversed(others.values())]
    dots += [_named(row) for row in reversed(named.values())]
    # The newer are the bolder, which says nothing where only some are dated.
    undated = any(dot.iteration is None for dot in dots)
    return [replace(dot, iteration=None) for dot in dots] if undated else dots


def _thinned(name: str, dots: list[Point]) -> Searched:
    if len(dots) <= MOST:
        return Searched(name, dots)
    best = non_dominated(np.array([[dot.x, -dot.y] for dot in dots]))
    kept = set(np.flatnonzero(best)) | set(np.linspace(0, len(dots) - 1, MOST).astype(int))
    return Searched(name, [dot for at, dot in enumerate(dots) if at in kept], len(dots) - len(kept))


def _told(name: str, accuracy: float, cost: float) -> str:
    return f"{name}\nvalidation accuracy {percent(accuracy)}% at {mega(cost)}M executed MACs"


def _kept(name: str, values: Sequence[float]) -> Point:
    """Of an entry of `candidates`, which an older edanas wrote without iteration and number of exits."""
    cost, accuracy, *more = values
    if len(more) < 2:
        return Point(cost / 1e6, 100 * accuracy, _told(name, accuracy, cost), "dot", radius=_RADIUS)
    iteration, exits = int(more[0]), int(more[1])
    title = f"{_told(f'{name}, iteration {iteration}', accuracy, cost)}\n{in_words(exits)}"
    return Point(cost / 1e6, 100 * accuracy, title, _kind(exits), iteration=iteration, radius=_RADIUS)


def _named(row: Row) -> Point:
    """Of a row of `pareto`."""
    cost, accuracy, iteration = row["executed_macs"], row["validation_accuracy"], int(row["iteration"])
    lines = [
        _told(f"Trade-off {row['id']}, iteration {iteration}", accuracy, cost)
        + f" (ADA_MACS {mega(row['ada_macs'])}M)",
        scheme_words(int(row["exits"]), row["thresholds"]),
        f"backbone: {backbone_words(row['backbone'])}",
    ]
    kind = _kind(int(row["exits"]))
    return Point(cost / 1e6, 100 * accuracy, "\n".join(lines), kind, iteration=iteration, radius=_RADIUS)


def _evaluated(evaluation: Evaluation) -> Point:
    """Of a candidate in the archive."""
    candidate, metrics = evaluation.candidate, evaluation.metrics
    if metrics is None:
        raise ValueError(f"candidate {candidate.id} has no metrics")
    cost, scheme, iteration = metrics.executed_macs, candidate.scheme, evaluation.iteration
    lines = [
        _told(f"Candidate {candidate.id}, iteration {iteration}", metrics.accuracy, cost)
        + f" (ADA_MACS {mega(metrics.ada_macs)}M)",
        scheme_words(scheme.exits, scheme.thresholds),
        f"backbone: {backbone_words(dict(candidate.backbone.choices))}",
    ]
    title, kind = "\n".join(lines), _kind(scheme.exits)
    return Point(cost / 1e6, 100 * metrics.accuracy, title, kind, iteration=iteration, radius=_RADIUS)


def _kind(exits: int) -> str:
    return "dot several" if exits else "dot none"


def scheme_words(exits: int, values: Sequence[float | None]) -> str:
    """A selection scheme in words."""
    if not exits:
        return "no early exit"
    return f"{in_words(exits)}, thresholds {' '.join(thresholds({'thresholds': values}).split())}"
