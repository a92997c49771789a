"""The chart of a run: the search's candidates, and both fronts with their tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edanas.core.pareto import non_dominated
from edanas.core.types import Evaluation
from edanas.report.extent import accuracy_floor
from edanas.report.html.charts import Chart, Point, spread
from edanas.report.html.markup import text
from edanas.report.words import Row, backbone_words, in_words, mega, percent, thresholds

MOST = 1500
"""Candidates drawn at most: more would make the page large, and are a blur anyway."""

_LABEL = (
    "Accuracy against executed MACs: candidates of the search, early-exit and single-exit networks. "
    "Arrow keys go from point to point."
)


def fronts_chart(
    front: Sequence[Row],
    single: Sequence[Row],
    evaluations: Sequence[Evaluation],
    pairs: Sequence[Sequence[float]],
) -> str:
    """The chart with its legend and, where iterations are known, the control of time.

    Args:
        front: Early-exit networks, finished and tested.
        single: Single-exit networks of the same search, likewise.
        evaluations: The archive; empty where it is not there any more.
        pairs: Executed MACs and accuracy of each candidate, for want of `evaluations`.
    """
    dots, left_out = _dots(evaluations, pairs)
    rows = [*front, *single]
    if not rows and not dots:
        return "<p>Nothing to draw.</p>"
    edges = [edge for row in rows for edge in row.get("test_ci") or (row["test_accuracy"],)]
    floor = accuracy_floor([100 * edge for edge in edges], [dot.y for dot in dots])
    tops = [100 * edge for edge in edges] + [dot.y for dot in dots]
    costs = [row["executed_macs"] / 1e6 for row in rows] + [dot.x for dot in dots]
    chart = Chart(
        spread(min(costs), max(costs)),
        spread(floor, max(tops)),
        "executed MACs for one image, M",
        "accuracy, %",
    )
    below = sum(dot.y < floor for dot in dots)
    marks = [chart.point(_lifted(dot, chart.y[0], floor)) for dot in dots]
    steps = max((dot.iteration or 0 for dot in dots), default=0)
    if dots:
        marks.append('<path id="searched" class="line searched" d=""/>')
    for rows_of, kind in ((single, "single"), (front, "early")):
        marks += _front(chart, rows_of, kind)
    legend = _legend(bool(dots), bool(single), bool(front), below, left_out)
    control = _control(steps) if steps and evaluations else ""
    return f"{legend}{chart.draw('fronts', _LABEL, marks)}{_TOLD}{control}"


_TOLD = (
    '<p id="fronts-told" class="told" aria-live="polite">'
    "Point at a network, or focus the chart and use the arrow keys.</p>"
)


def _dots(evaluations: Sequence[Evaluation], pairs: Sequence[Sequence[float]]) -> tuple[list[Point], int]:
    """A point for each candidate that succeeded, and how many were left out; the front is always in."""
    if evaluations:
        dots = [_dot(each) for each in evaluations if each.metrics is not None]
    else:
        dots = [
            Point(cost / 1e6, 100 * accuracy, _told("A candidate of the search", accuracy, cost), "dot")
            for cost, accuracy, *_ in pairs
        ]
    if len(dots) <= MOST:
        return dots, 0
    best = non_dominated(np.array([[dot.x, -dot.y] for dot in dots]))
    kept = set(np.flatnonzero(best)) | set(np.linspace(0, len(dots) - 1, MOST).astype(int))
    return [dot for at, dot in enumerate(dots) if at in kept], len(dots) - len(kept)


def _told(name: str, accuracy: float, cost: float) -> str:
    return f"{name}\nvalidation accuracy {percent(accuracy)}% at {mega(cost)}M executed MACs"


def _dot(evaluation: Evaluation) -> Point:
    candidate, metrics = evaluation.candidate, evaluation.metrics
    if metrics is None:
        raise ValueError(f"candidate {candidate.id} has no metrics")
    cost = metrics.executed_macs
    lines = [
        _told(f"Candidate {candidate.id}, iteration {evaluation.iteration}", metrics.accuracy, cost)
        + f" (ADA_MACS {mega(metrics.ada_macs)}M)",
        _scheme(candidate.scheme.exits, candidate.scheme.thresholds),
        f"backbone: {backbone_words(dict(candidate.backbone.choices))}",
    ]
    kind = "dot several" if candidate.scheme.exits else "dot none"
    return Point(
        cost / 1e6, 100 * metrics.accuracy, "\n".join(lines), kind, iteration=evaluation.iteration, radius=3.2
    )


def _scheme(exits: int, values: Sequence[float | None]) -> str:
    if not exits:
        return "no early exit"
    return f"{in_words(exits)}, thresholds {' '.join(thresholds({'thresholds': values}).split())}"


def _lifted(dot: Point, bottom: float, floor: float) -> Point:
    """A candidate below the axis stands on it, hollow."""
    if dot.y >= floor:
        return dot
    return Point(dot.x, bottom, dot.title, f"{dot.kind} under", iteration=dot.iteration, radius=dot.radius)


def _front(chart: Chart, rows: Sequence[Row], kind: str) -> list[str]:
    """Intervals, the line through those that no other dominates, and the networks."""
    if not rows:
        return []
    points = np.array([[row["executed_macs"] / 1e6, 100 * row["test_accuracy"]] for row in rows])
    kept = points[non_dominated(np.column_stack([points[:, 0], -points[:, 1]]))]
    kept = kept[np.argsort(kept[:, 0], kind="stable")]
    parts = [
        chart.whisker(x, 100 * row["test_ci"][0], 100 * row["test_ci"][1], kind)
        for row, (x, _) in zip(rows, points, strict=True)
        if row.get("test_ci")
    ]
    parts.append(chart.line([(float(x), float(y)) for x, y in kept], kind))
    for row, (x, y) in zip(rows, points, strict=True):
        mark, target = (str(row["exits"]), f"net-{row['id']}") if kind == "early" else ("", "")
        radius = 9 if kind == "early" else 5.5
        parts.append(
            chart.point(Point(float(x), float(y), network_words(row), kind, mark, None, target, radius))
        )
    return parts


def network_words(row: Mapping[str, Any]) -> str:
    """A finished network in lines of text."""
    interval = row.get("test_ci")
    within = f" (95%: {percent(interval[0])} to {percent(interval[1])})" if interval else ""
    what = "Early-exit" if row["exits"] else "Single-exit"
    lines = [
        f"{what} network {row['id']}, finished",
        f"test accuracy {percent(row['test_accuracy'])}%{within} "
        f"at {mega(row['executed_macs'])}M executed MACs",
        _scheme(int(row["exits"]), row["thresholds"]),
    ]
    if row.get("backbone"):
        lines.append(f"backbone: {backbone_words(row['backbone'])}")
    return "\n".join(lines)


def _legend(dots: bool, single: bool, front: bool, below: int, left_out: int) -> str:  # noqa: FBT001
    entries = []
    if front:
        entries.append(
            '<span class="key early"></span>early-exit networks, with their number of exits (test)'
        )
    if single:
        entries.append('<span class="key single"></span>single-exit networks of the same search (test)')
    if dots:
        entries.append(
            '<span class="key dot"></span>candidates of the search before fine-tuning (validation), '
            "the newer the bolder; dotted: the best of them"
        )
    if below:
        entries.append(f'<span class="key under"></span>{below} of them lie lower than the chart reaches')
    if left_out:
        entries.append(f"{left_out} more are not drawn")
    if any((front, single)):
        entries.append("bars: 95% intervals")
    return f'<p class="legend">{" · ".join(entries)}</p>'


def _control(steps: int) -> str:
    """A slider over the iterations; without the script all of them are shown."""
    return (
        '<p class="control" hidden><label for="until">The search up to iteration</label> '
        f'<input id="until" type="range" min="0" max="{steps}" value="{steps}" data-chart="fronts"> '
        f'<output for="until">{text(steps)}</output></p>'
    )
