"""Plot of a run: accuracy against executed MACs, and the hypervolume of its search by iteration.

The plots do not use `pyplot`, which has global state. Colour-blind readers can distinguish the colours, which
are from the palette of Okabe and Ito. Line styles and markers differ, too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import EdanasError
from edanas.core.result_row import ResultRow
from edanas.core.runfolder import replacing
from edanas.numerics.pareto import non_dominated
from edanas.report.axis_limits import accuracy_floor, cost_ceiling
from edanas.report.plain import LEGEND, comparable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".svg", ".png", ".pdf")
"""Allowed endings of a plot's file name."""

INK, CANDIDATE = "#1f2328", "#9aa0a6"
EARLY, SINGLE, PLAIN = "#0072b2", "#d55e00", "#009e73"
"""Colours of early-exit, single-exit and plain networks: blue, vermilion and green of Okabe and Ito."""


def draw(data: Mapping[str, Any]) -> "Figure":
    """Draw the networks and candidates of a run, and its hypervolume by iteration if there are iterations.

    Args:
        data: The content of `result.json`. The keys `candidates` and `hypervolume` may be missing. An entry
            of `candidates` begins with executed MACs and validation accuracy. `hypervolume` has one number
            in [0, 1] for the initial archive, then one for each iteration.
    """
    from matplotlib.figure import Figure

    hypervolume = data.get("hypervolume") or []
    figure = Figure(figsize=(7.0, 6.2 if len(hypervolume) > 1 else 4.8), layout="constrained")
    if len(hypervolume) > 1:
        grid = figure.add_gridspec(2, 1, height_ratios=(3.6, 1))
        axes, below = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        _draw_hypervolume(below, hypervolume)
    else:
        axes = figure.add_subplot()
    front, single = ([ResultRow.from_json(row) for row in data[key]] for key in ("front", "static_front"))
    plain = [ResultRow.from_json(row) for row in data.get("plain") or []]
    _draw_fronts(axes, front, single, comparable(plain, [*front, *single]), data.get("candidates") or [])
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Write a figure to a file.

    Args:
        figure: The figure.
        path: The file. Its ending, one of `ENDINGS`, selects the format.

    Raises:
        EdanasError: The ending is not in `ENDINGS`, or the file cannot be written.
    """
    if path.suffix.lower() not in ENDINGS:
        raise EdanasError(f"{path}: found the ending '{path.suffix}'; allowed: {', '.join(ENDINGS)}")
    with replacing(path) as partial:
        _save(figure, partial, path.suffix.lower()[1:])


def _save(figure: "Figure", target: Path, kind: str) -> None:
    """Write a figure without a date and with fixed ids, so that equal figures give equal files."""
    import matplotlib as mpl

    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    with mpl.rc_context({"svg.hashsalt": "edanas", "svg.fonttype": "none"}):
        figure.savefig(target, format=kind, dpi=160, metadata=metadata)


def _draw_fronts(
    axes: "Axes",
    front: Sequence[ResultRow],
    single: Sequence[ResultRow],
    plain: Sequence[ResultRow],
    candidates: Sequence[Sequence[float]],
) -> None:
    """Draw candidates and all kinds of networks, with axis titles and legend."""
    rows = [*front, *single, *plain]
    candidates, beyond = _affordable(rows, candidates)
    below = _limit(axes, rows, candidates)
    if len(candidates):
        macs, accuracy = np.asarray(candidates, dtype=np.float64)[:, :2].T
        label = "candidates of the search (validation)"
        if below:
            label += f"; {below} more lie below"
        if beyond:
            label += f"; {beyond} dearer left out"
        axes.plot(macs / 1e6, 100 * accuracy, "o", color=CANDIDATE, alpha=0.45, ms=3.5, mew=0, label=label)
    _draw_front(axes, plain, PLAIN, "^:", LEGEND, 6)
    _draw_front(axes, single, SINGLE, "s--", "single-exit networks of the same supernet (test)", 6)
    label = "early-exit networks with their number of early exits (test)"
    _draw_front(axes, front, EARLY, "o-", label, 12)
    for row in front:
        axes.annotate(
            str(row.exits),
            (row.executed_macs / 1e6, 100 * row.test_accuracy),
            ha="center",
            va="center_baseline",
            color="white",
            weight="bold",
            size=8.5,
            zorder=5,
        )
    axes.set_xlabel("executed MACs for one sample (M = million multiply-adds)", color=INK)
    intervals = any(row.test_ci for row in [*front, *single, *plain])
    axes.set_ylabel("accuracy (%)" + ("; bars: 95% intervals" if intervals else ""), color=INK)
    style(axes)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles[::-1],
            labels[::-1],
            loc="lower left",
            bbox_to_anchor=(0, 1),
            frameon=False,
            labelcolor=INK,
            fontsize=9,
        )


def _draw_front(
    axes: "Axes", rows: Sequence[ResultRow], color: str, style: str, label: str, size: float
) -> None:
    """Draw all networks with their 95% intervals, and a line through the non-dominated networks."""
    if not rows:
        return
    points = _points(rows)
    marker, line = style[0], style[1:]
    best = points[non_dominated(np.column_stack([points[:, 0], -points[:, 1]]))]
    best = best[np.argsort(best[:, 0], kind="stable")]
    axes.plot(*best.T, line, color=color, lw=1.6, zorder=3)
    axes.plot(*points.T, marker, color=color, ms=size, zorder=4)
    axes.plot([], [], style, color=color, ms=min(size, 8), label=label)
    for row, (macs, _) in zip(rows, points, strict=True):
        if row.test_ci:
            low, high = row.test_ci
            axes.plot([macs, macs], [100 * low, 100 * high], color=color, lw=1, alpha=0.35, zorder=2)


def _affordable(
    rows: Sequence[ResultRow], candidates: Sequence[Sequence[float]]
) -> tuple[Sequence[Sequence[float]], int]:
    """Return the candidates within the limit of the cost axis, and the number of dearer ones."""
    limit = cost_ceiling([row.executed_macs for row in rows], [candidate[0] for candidate in candidates])
    within = [candidate for candidate in candidates if candidate[0] <= limit]
    return within, len(candidates) - len(within)


def _limit(axes: "Axes", rows: Sequence[ResultRow], candidates: Sequence[Sequence[float]]) -> int:
    """Set the limits of the accuracy axis, and return the number of candidates below the lower limit."""
    if not rows:
        return 0
    edges = [edge for row in rows for edge in row.test_ci or (row.test_accuracy,)]
    accuracies = [100 * float(candidate[1]) for candidate in candidates]
    floor = accuracy_floor([100 * edge for edge in edges], accuracies)
    top = max([100 * max(edges), *accuracies])
    margin = 0.06 * max(top - floor, 1.0)
    axes.set_ylim(floor - margin, top + margin)
    return sum(accuracy < floor - margin for accuracy in accuracies)


def _draw_hypervolume(axes: "Axes", values: Sequence[float]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.plot(range(len(values)), values, "o-", color=INK, lw=1.4, ms=3.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("iteration (0 = the initial archive)", color=INK)
    axes.set_ylabel("hypervolume", color=INK)
    style(axes)


def style(axes: "Axes") -> None:
    """Set the grid, ticks and spines that all plots of a report share."""
    axes.grid(color=CANDIDATE, alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)


def _points(rows: Sequence[ResultRow]) -> npt.NDArray[np.float64]:
    """Return executed MACs in millions and test accuracy in percent, one row per network."""
    return np.array([[row.executed_macs / 1e6, 100 * row.test_accuracy] for row in rows])
