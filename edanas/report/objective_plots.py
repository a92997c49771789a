"""Plots of more than two objectives: one plot for each pair of objectives, and parallel coordinates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edanas.core.amounts import scale_of
from edanas.core.errors import EdanasError
from edanas.core.feasible import feasible_first
from edanas.numerics.pareto import non_dominated
from edanas.report.plots import CANDIDATE, EARLY, INK, SINGLE, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = "cividis"
"""Name of a colour map whose colours differ for colour-blind readers and in greyscale print."""


@dataclass(frozen=True)
class TradeOffs:
    """Objective values of the C candidates of a search in J objectives.

    Args:
        names: Name and unit of each objective, e.g. `params (k)`.
        values: Values of shape (C, J), in the units of `names`.
        maximise: Booleans of shape (J,), `True` if larger values of the objective are better.
        front: Booleans of shape (C,), `True` for the non-dominated candidates. Feasible candidates dominate
            all infeasible candidates.
        feasible: Booleans of shape (C,), `True` for candidates that keep all constraints.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]
    maximise: npt.NDArray[np.bool_]
    front: npt.NDArray[np.bool_]
    feasible: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "TradeOffs":
        """Read the objective values of a run.

        Args:
            data: The content of `result.json`.

        Raises:
            EdanasError: `data` lacks the objectives or the candidates' objective values.
        """
        objectives, rows = data.get("objectives") or [], data.get("values") or []
        if not objectives or not rows:
            raise EdanasError(
                "the result lacks the candidates' objective values: an older version of edanas wrote it, or "
                "no candidate was evaluated"
            )
        values = np.array(rows, dtype=np.float64)
        maximise = np.array([bool(objective["maximise"]) for objective in objectives])
        violations = np.array(data.get("violations") or [0.0] * len(values), dtype=np.float64)
        front = non_dominated(feasible_first(np.where(maximise, -values, values), violations))
        scales = [
            _scale(str(o.get("unit", "")), column) for o, column in zip(objectives, values.T, strict=True)
        ]
        names = tuple(
            f"{o['name']} ({unit})" if unit else str(o["name"])
            for o, (_, unit) in zip(objectives, scales, strict=True)
        )
        return cls(names, values * [size for size, _ in scales], maximise, front, violations == 0)


def draw_pairs(data: Mapping[str, Any]) -> "Figure":
    """Draw a triangle of scatter plots, one for each pair of objectives. The Pareto set is drawn last.

    Args:
        data: The content of `result.json`.

    Raises:
        EdanasError: `data` lacks the candidates' objective values.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    trade_offs = TradeOffs.of(data)
    count = len(trade_offs.names) - 1
    side = max(2.4, 3.4 - 0.3 * count)
    size = max(side * count + 1.0, 5.0), max(side * count + 0.6, 4.0)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(count, count, squeeze=False, sharex="col", sharey="row")
    for row in range(count):
        for column in range(count):
            axes = grid[row][column]
            if column > row:
                axes.set_visible(False)
                continue
            _draw_pair(axes, trade_offs, column, row + 1)
            if row == count - 1:
                axes.set_xlabel(trade_offs.names[column], color=INK)
            if column == 0:
                axes.set_ylabel(trade_offs.names[row + 1], color=INK)
    handles = [Line2D([], [], linestyle="", **look) for rows, look in _looks(trade_offs) if rows.any()]
    figure.legend(handles=handles, loc="upper right", frameon=False, labelcolor=INK, fontsize=9)
    return figure


def draw_parallel(data: Mapping[str, Any]) -> "Figure":
    """Draw the Pareto set in parallel coordinates: one axis per objective, one line per candidate.

    The top of each axis is the best value in the Pareto set, and the bottom is the worst value. The colour of
    a line shows the candidate's value of the first objective.

    Args:
        data: The content of `result.json`.

    Raises:
        EdanasError: `data` lacks the candidates' objective values.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    trade_offs = TradeOffs.of(data)
    values = trade_offs.values[trade_offs.front]
    low, high = values.min(axis=0), values.max(axis=0)
    share = np.where(high > low, (values - low) / np.where(high > low, high - low, 1.0), 0.5)
    height = np.where(trade_offs.maximise, share, 1.0 - share)
    places = [float(place) for place in range(len(trade_offs.names))]
    figure = Figure(figsize=(2.0 * len(places) + 1.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    colours = mpl.colormaps[COLOURS]
    for line in height[np.argsort(height[:, 0], kind="stable")]:
        axes.plot(places, line, "o-", color=colours(0.95 * line[0]), alpha=0.8, lw=1.4, ms=4, mew=0)
    best, worst = np.where(trade_offs.maximise, (high, low), (low, high))
    for place, good, bad in zip(places, best, worst, strict=True):
        axes.plot([place, place], [0, 1], color=INK, lw=0.8, zorder=0)
        axes.text(place, 1.04, f"{good:.4g}", ha="center", va="bottom", color=INK, size=9)
        axes.text(place, -0.04, f"{bad:.4g}", ha="center", va="top", color=INK, size=9)
    axes.set_xticks(places, trade_offs.names, color=INK)
    axes.tick_params(length=0, pad=14)
    axes.set_ylim(-0.12, 1.12)
    axes.set_yticks([])
    axes.set_ylabel("from the worst to the best value of the Pareto set", color=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _draw_pair(axes: "Axes", trade_offs: TradeOffs, x: int, y: int) -> None:
    """Draw the candidates by the objectives with index `x` and `y`."""
    for rows, look in _looks(trade_offs):
        axes.plot(trade_offs.values[rows, x], trade_offs.values[rows, y], linestyle="", **look)
    style(axes)


def _looks(trade_offs: TradeOffs) -> list[tuple[npt.NDArray[np.bool_], dict[str, Any]]]:
    """Return mask and drawing style of each group of candidates: dominated, infeasible, Pareto set."""
    behind = {"marker": "o", "color": CANDIDATE, "alpha": 0.5, "ms": 3.5, "mew": 0, "label": "dominated"}
    broken = {"marker": "x", "color": SINGLE, "alpha": 0.6, "ms": 4, "label": "breaks a constraint"}
    best = {"marker": "o", "color": EARLY, "ms": 5, "mew": 0, "label": "Pareto set"}
    return [
        (trade_offs.feasible & ~trade_offs.front, behind),
        (~trade_offs.feasible, broken),
        (trade_offs.feasible & trade_offs.front, best),
    ]


def _scale(unit: str, values: npt.NDArray[np.float64]) -> tuple[float, str]:
    """Return a factor that scales values to readable numbers, and the unit of the scaled values."""
    if unit == "%":
        return 100.0, "%"
    scale, letter = scale_of(float(np.abs(values).max()))
    return 1.0 / scale, f"{letter} {unit}".strip()
