"""Attainment curves of methods: test accuracy that a method reaches within each cost, over its seeds.

The curves are empirical attainment functions of two objectives (Fonseca and Fleming 1996, "On the performance
assessment and comparison of stochastic multiobjective optimizers").
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edanas.core.result_row import ResultRow
from edanas.report.choice import most_accurate
from edanas.report.plots import CANDIDATE, INK, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d1f")
"""Colours of the methods, in order: the palette of Okabe and Ito with a darker yellow."""

MARKERS = "osD^vPX*"
"""Matplotlib markers of the methods, in order."""


def attained(runs: Sequence[Sequence[ResultRow]], costs: Floats) -> Floats:
    """Return the test accuracy that each run reaches within each cost.

    Within a cost, the network with the highest validation accuracy is chosen, as `Comparison` chooses it. The
    test accuracy of the choice may therefore fall with rising cost.

    Args:
        runs: The networks of each run.
        costs: C bounds on executed MACs for one image, on the validation part.

    Returns:
        Accuracies as fractions of shape (number of runs, C); NaN where a run has no network within the bound.
    """
    accuracy = np.full((len(runs), len(costs)), np.nan)
    for curve, rows in zip(accuracy, runs, strict=True):
        for at, cost in enumerate(costs):
            affordable = [row for row in rows if row.macs_for_choice <= cost]
            if affordable:
                curve[at] = most_accurate(affordable).test_accuracy
    return accuracy


def draw_attainment(
    methods: Mapping[str, Sequence[Sequence[ResultRow]]], budgets: Sequence[float]
) -> "Figure":
    """Draw the attainment curves of methods: test accuracy against executed MACs.

    Marks are networks. A line is the median over the seeds of one method, a band is their range.

    Args:
        methods: Name of a method -> the networks of each of its seeds.
        budgets: Bounds on executed MACs for one image, drawn as vertical lines.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    costs = np.unique([row.macs_for_choice for runs in methods.values() for rows in runs for row in rows])
    costs = np.append(costs, costs[-1] * 1.05)
    for number, (name, runs) in enumerate(methods.items()):
        seeds = f", {len(runs)} seeds" if len(runs) > 1 else ""
        _draw_method(axes, number, f"{name}{seeds}", runs, costs)
    for budget in budgets:
        axes.axvline(budget / 1e6, color=CANDIDATE, lw=1, ls=":")
    axes.set_xlabel("executed MACs for one sample (M = million multiply-adds)", color=INK)
    axes.set_ylabel("test accuracy (%)", color=INK)
    style(axes)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, labelcolor=INK, fontsize=9)
    return figure


def _draw_method(
    axes: "Axes", number: int, label: str, runs: Sequence[Sequence[ResultRow]], costs: Floats
) -> None:
    """Draw networks, median and range of one method; `number` selects its colour and marker."""
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    accuracy = 100 * attained(runs, costs)
    complete = ~np.isnan(accuracy).any(axis=0)
    x, curves = costs[complete] / 1e6, accuracy[:, complete]
    axes.step(x, np.median(curves, axis=0), where="post", color=colour, lw=1.6, zorder=3)
    if len(runs) > 1:
        low, high = curves.min(axis=0), curves.max(axis=0)
        axes.fill_between(x, low, high, step="post", color=colour, alpha=0.15, lw=0)
    points = np.array([(row.executed_macs / 1e6, 100 * row.test_accuracy) for rows in runs for row in rows])
    axes.plot(*points.T, marker, color=colour, ms=5, mew=0, alpha=0.75, zorder=4)
    axes.plot([], [], f"{marker}-", color=colour, ms=5, label=label)
