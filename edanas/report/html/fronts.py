"""The chart of a run: what the search found, and both fronts with their tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edanas.numerics.pareto import non_dominated
from edanas.report.extent import accuracy_floor
from edanas.report.html.charts import Chart, Point, spread
from edanas.report.html.markup import text
from edanas.report.html.searched import Searched, scheme_words
from edanas.report.words import Row, backbone_words, mega, percent

_LABEL = (
    "Accuracy against executed MACs: {}, early-exit and single-exit networks. "
    "Arrow keys go from point to point."
)


def fronts_chart(front: Sequence[Row], single: Sequence[Row], searched: Searched) -> str:
    """The chart with its legend and, where iterations are known, the control of time.

    Args:
        front: Early-exit networks, finished and tested.
        single: Single-exit networks of the same search, likewise.
        searched: What the search found.
    """
    dots = searched.dots
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
    legend = _legend(searched, single, front, below)
    control = _control(steps) if steps and searched.dated else ""
    return f"{legend}{chart.draw('fronts', _LABEL.format(searched.name), marks)}{_TOLD}{control}"


_TOLD = (
    '<p id="fronts-told" class="told" aria-live="polite">'
    "Point at a network, or focus the chart and use the arrow keys.</p>"
)


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
        scheme_words(int(row["exits"]), row["thresholds"]),
    ]
    if row.get("backbone"):
        lines.append(f"backbone: {backbone_words(row['backbone'])}")
    return "\n".join(lines)


def _legend(searched: Searched, single: Sequence[Row], front: Sequence[Row], below: int) -> str:
    entries = []
    if front:
        entries.append(
            '<span class="key early"></span>early-exit networks, with their number of exits (test)'
        )
    if single:
        entries.append('<span class="key single"></span>single-exit networks of the same search (test)')
    if searched.dots:
        bolder = ", the newer the bolder" if searched.dated else ""
        entries.append(
            f'<span class="key dot"></span>{searched.name} before fine-tuning (validation){bolder}; '
            "dotted: the best of them"
        )
    if below:
        entries.append(f'<span class="key under"></span>{below} of them lie lower than the chart reaches')
    if searched.left_out:
        entries.append(f"{searched.left_out} more are not drawn")
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
