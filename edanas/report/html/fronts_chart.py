"""Chart of a run: the candidates of its search, and its finished networks with their test accuracy."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edanas.core.result_row import ResultRow
from edanas.numerics.pareto import non_dominated
from edanas.report.axis_limits import accuracy_floor, cost_ceiling
from edanas.report.formatting import backbone_text, mega, percent, scheme_text
from edanas.report.html.candidate_points import CandidatePoints
from edanas.report.html.charts import Chart, Point, spread
from edanas.report.html.markup import text
from edanas.report.plain import LEGEND, comparable

_LABEL = (
    "Accuracy against executed MACs: {}, early-exit and single-exit networks. "
    "The arrow keys select the next or previous point."
)


def fronts_chart(
    front: Sequence[ResultRow],
    single: Sequence[ResultRow],
    plain: Sequence[ResultRow],
    candidates: CandidatePoints,
) -> str:
    """Return the chart with its legend, and a slider over iterations if the candidates' iterations are known.

    Args:
        front: Early-exit networks, finished and tested.
        single: Single-exit networks of the same search, finished and tested.
        plain: Plain networks of the run, finished and tested; those that a plot shows are drawn.
        candidates: The candidates of the search.
    """
    plain = comparable(plain, [*front, *single])
    candidates = _affordable(candidates, [*front, *single, *plain])
    dots = candidates.dots
    if not front and not single and not dots:
        return "<p>Nothing to draw.</p>"
    chart, floor = _axes([*front, *single, *plain], dots)
    marks = [chart.point(_raised(dot, chart.y[0], floor)) for dot in dots]
    if dots:
        marks.append('<path id="searched" class="line searched" d=""/>')
    for rows, kind in ((plain, "dense"), (single, "single"), (front, "early")):
        marks += _front(chart, rows, kind)
    legend = _legend(candidates, (front, single, plain), sum(dot.y < floor for dot in dots))
    steps = max((dot.iteration or 0 for dot in dots), default=0)
    slider = _slider(steps) if steps and candidates.dated else ""
    return f"{legend}{chart.draw('fronts', _LABEL.format(candidates.name), marks)}{_DESCRIPTION}{slider}"


def _affordable(candidates: CandidatePoints, rows: Sequence[ResultRow]) -> CandidatePoints:
    """Return the candidates within the limit of the cost axis; dearer ones count as left out."""
    costs = [row.executed_macs / 1e6 for row in rows]
    limit = cost_ceiling(costs, [dot.x for dot in candidates.dots])
    dots = [dot for dot in candidates.dots if dot.x <= limit]
    left_out = candidates.left_out + len(candidates.dots) - len(dots)
    return replace(candidates, dots=dots, left_out=left_out)


def _axes(rows: Sequence[ResultRow], dots: Sequence[Point]) -> tuple[Chart, float]:
    """Return the chart without points, and the lowest accuracy on its axis in percent.

    Points with a lower accuracy are drawn on the horizontal axis.
    """
    edges = [100 * edge for row in rows for edge in row.test_ci or (row.test_accuracy,)]
    accuracies = [dot.y for dot in dots]
    floor = accuracy_floor(edges, accuracies)
    costs = [row.executed_macs / 1e6 for row in rows] + [dot.x for dot in dots]
    x, y = spread(min(costs), max(costs)), spread(floor, max(edges + accuracies))
    return Chart(x, y, "executed MACs for one sample, M", "accuracy, %"), floor


_DESCRIPTION = (
    '<p id="fronts-description" class="description" aria-live="polite">'
    "To see a description, move the pointer to a network, or focus the chart and use the arrow keys.</p>"
)


def _raised(dot: Point, bottom: float, floor: float) -> Point:
    """Return the point; a point below `floor` is moved to the axis and drawn hollow."""
    if dot.y >= floor:
        return dot
    return Point(dot.x, bottom, dot.title, f"{dot.kind} under", iteration=dot.iteration, radius=dot.radius)


def _front(chart: Chart, rows: Sequence[ResultRow], kind: str) -> list[str]:
    """Return SVG elements: the intervals, the line through non-dominated networks, and the networks."""
    if not rows:
        return []
    points = np.array([[row.executed_macs / 1e6, 100 * row.test_accuracy] for row in rows])
    best = points[non_dominated(np.column_stack([points[:, 0], -points[:, 1]]))]
    best = best[np.argsort(best[:, 0], kind="stable")]
    parts = [
        chart.whisker(x, 100 * row.test_ci[0], 100 * row.test_ci[1], kind)
        for row, (x, _) in zip(rows, points, strict=True)
        if row.test_ci
    ]
    parts.append(chart.line([(float(x), float(y)) for x, y in best], kind))
    for row, (x, y) in zip(rows, points, strict=True):
        mark, target = (str(row.exits), f"net-{row.id}") if kind == "early" else ("", "")
        radius = 9 if kind == "early" else 5.5
        point = Point(float(x), float(y), network_text(row, kind), kind, mark, None, target, radius)
        parts.append(chart.point(point))
    return parts


def network_text(row: ResultRow, kind: str) -> str:
    """Return the description of a finished network in several lines: accuracy, cost, thresholds, backbone.

    Args:
        row: The network.
        kind: `early`, `single`, or `dense` for a plain network.
    """
    interval = f" (95%: {percent(row.test_ci[0])} to {percent(row.test_ci[1])})" if row.test_ci else ""
    noun = {"early": "Early-exit", "single": "Single-exit", "dense": "Plain"}[kind]
    lines = [
        f"{noun} network {row.id}, finished",
        f"test accuracy {percent(row.test_accuracy)}%{interval} at {mega(row.executed_macs)}M executed MACs",
        scheme_text(row.exits, row.thresholds),
    ]
    if row.backbone:
        lines.append(f"backbone: {backbone_text(row.backbone)}")
    return "\n".join(lines)


def _legend(
    candidates: CandidatePoints,
    networks: tuple[Sequence[ResultRow], Sequence[ResultRow], Sequence[ResultRow]],
    below: int,
) -> str:
    """Return the legend.

    Args:
        candidates: The candidates of the search.
        networks: The early-exit, single-exit and plain networks in the chart.
        below: The number of candidates below the chart.
    """
    texts = (
        ("early", "early-exit networks, with their number of exits (test)"),
        ("single", "single-exit networks of the same search (test)"),
        ("dense", LEGEND),
    )
    entries = [
        f'<span class="key {kind}"></span>{words}'
        for rows, (kind, words) in zip(networks, texts, strict=True)
        if rows
    ]
    if candidates.dots:
        bolder = ", newer points bolder" if candidates.dated else ""
        entries.append(
            f'<span class="key dot"></span>{candidates.name} before fine-tuning (validation){bolder}; '
            "dotted: their front"
        )
    if below:
        entries.append(f'<span class="key under"></span>{below} of the points lie below the chart')
    if candidates.left_out:
        entries.append(f"{candidates.left_out} more points are not drawn")
    if any(networks):
        entries.append("bars: 95% intervals")
    return f'<p class="legend">{" · ".join(entries)}</p>'


def _slider(steps: int) -> str:
    """Return a slider over the iterations 0 to `steps`. It is hidden if scripts do not run."""
    return (
        '<p class="control" hidden><label for="until">The search up to iteration</label> '
        f'<input id="until" type="range" min="0" max="{steps}" value="{steps}" data-chart="fronts"> '
        f'<output for="until">{text(steps)}</output></p>'
    )
