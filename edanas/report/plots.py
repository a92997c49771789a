"""The plot of a run: accuracy against executed MACs, and how the search's hypervolume grew.

Figures are made without `pyplot`, so that a library call leaves no global state behind. The colours are Okabe
and Ito's, told apart by colour-blind readers too; line styles and markers differ besides.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from edanas.core.errors import EdanasError
from edanas.numerics.pareto import non_dominated
from edanas.report.extent import accuracy_floor
from edanas.report.words import Row

ENDINGS = (".svg", ".png", ".pdf")

INK, CANDIDATE = "#1f2328", "#9aa0a6"
EARLY, SINGLE = "#0072b2", "#d55e00"
"""Okabe and Ito's blue and vermilion."""


def draw(data: Mapping[str, Any]) -> Figure:
    """The plot of a result.

    Args:
        data: The content of `result.json`. `candidates`, where it is there, holds a list of numbers for each
            candidate or trade-off of the search, executed MACs and validation accuracy first; `hypervolume` a
            number in [0, 1] for the initial archive and one for each iteration.
    """
    hypervolume = data.get("hypervolume") or []
    figure = Figure(figsize=(7.0, 6.2 if len(hypervolume) > 1 else 4.8), layout="constrained")
    if len(hypervolume) > 1:
        grid = figure.add_gridspec(2, 1, height_ratios=(3.6, 1))
        axes, below = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        _draw_hypervolume(below, hypervolume)
    else:
        axes = figure.add_subplot()
    _draw_fronts(axes, data["front"], data["static_front"], data.get("candidates") or [])
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as its ending says.

    Raises:
        EdanasError: The ending is not known, or the file cannot be written.
    """
    if path.suffix.lower() not in ENDINGS:
        raise EdanasError(f"{path}: found the ending '{path.suffix}'; allowed: {', '.join(ENDINGS)}")
    try:
        _save(figure, path, path.suffix.lower()[1:])
    except OSError as error:
        raise EdanasError(f"{path}: cannot be written: {error.strerror}") from error


def _save(figure: Figure, target: Path, kind: str) -> None:
    """Without a date and with fixed names inside, so that equal results make equal files."""
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    with mpl.rc_context({"svg.hashsalt": "edanas", "svg.fonttype": "none"}):
        figure.savefig(target, format=kind, dpi=160, metadata=metadata)


def _draw_fronts(
    axes: Axes, front: Sequence[Row], single: Sequence[Row], candidates: Sequence[Sequence[float]]
) -> None:
    below = _limit(axes, front, single, candidates)
    if len(candidates):
        macs, accuracy = np.asarray(candidates, dtype=np.float64)[:, :2].T
        label = "candidates of the search (validation)"
        if below:
            label += f"; {below} more lie below"
        axes.plot(macs / 1e6, 100 * accuracy, "o", color=CANDIDATE, alpha=0.45, ms=3.5, mew=0, label=label)
    _draw_front(axes, single, SINGLE, "s--", "single-exit networks of the same supernet (test)", 6)
    label = "early-exit networks with their number of early exits (test)"
    _draw_front(axes, front, EARLY, "o-", label, 12)
    for row in front:
        axes.annotate(
            str(row["exits"]),
            (row["executed_macs"] / 1e6, 100 * row["test_accuracy"]),
            ha="center",
            va="center_baseline",
            color="white",
            weight="bold",
            size=8.5,
            zorder=5,
        )
    axes.set_xlabel("executed MACs for one image (M = million multiply-adds)", color=INK)
    intervals = any(row.get("test_ci") for row in [*front, *single])
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


def _draw_front(axes: Axes, rows: Sequence[Row], color: str, style: str, label: str, size: float) -> None:
    """All networks as markers with their 95% intervals; the line joins those that no other one dominates."""
    if not rows:
        return
    points = _points(rows)
    marker, line = style[0], style[1:]
    kept = points[non_dominated(np.column_stack([points[:, 0], -points[:, 1]]))]
    kept = kept[np.argsort(kept[:, 0], kind="stable")]
    axes.plot(*kept.T, line, color=color, lw=1.6, zorder=3)
    axes.plot(*points.T, marker, color=color, ms=size, zorder=4)
    axes.plot([], [], style, color=color, ms=min(size, 8), label=label)
    for row, (macs, _) in zip(rows, points, strict=True):
        if row.get("test_ci"):
            low, high = row["test_ci"]
            axes.plot([macs, macs], [100 * low, 100 * high], color=color, lw=1, alpha=0.35, zorder=2)


def _limit(
    axes: Axes, front: Sequence[Row], single: Sequence[Row], candidates: Sequence[Sequence[float]]
) -> int:
    """Keep the worst candidates from squeezing the fronts together; returns how many lie below the axis."""
    rows = [*front, *single]
    if not rows:
        return 0
    edges = [edge for row in rows for edge in row.get("test_ci") or (row["test_accuracy"],)]
    accuracies = [100 * float(each[1]) for each in candidates]
    floor = accuracy_floor([100 * edge for edge in edges], accuracies)
    top = max([100 * max(edges), *accuracies])
    margin = 0.06 * max(top - floor, 1.0)
    axes.set_ylim(floor - margin, top + margin)
    return sum(accuracy < floor - margin for accuracy in accuracies)


def _draw_hypervolume(axes: Axes, values: Sequence[float]) -> None:
    axes.plot(range(len(values)), values, "o-", color=INK, lw=1.4, ms=3.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("iteration (0 = the initial archive)", color=INK)
    axes.set_ylabel("hypervolume", color=INK)
    style(axes)


def style(axes: Axes) -> None:
    """Grid, ticks and spines as all plots have them."""
    axes.grid(color=CANDIDATE, alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)


def _points(rows: Sequence[Row]) -> npt.NDArray[np.float64]:
    """(n, 2): executed MACs in M, test accuracy in %."""
    return np.array([[row["executed_macs"] / 1e6, 100 * row["test_accuracy"]] for row in rows])
