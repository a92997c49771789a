"""What methods attain: the most accurate network within each cost, as the median over seeds and its range.

The curves are empirical attainment functions of two objectives (Fonseca and Fleming 1996, "On the performance
assessment and comparison of stochastic multiobjective optimizers").
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from edanas.report.plots import CANDIDATE, INK, style
from edanas.report.words import Row

Floats = npt.NDArray[np.float64]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d1f")
"""Okabe and Ito's, the yellow one darkened."""

MARKERS = "osD^vPX*"


def attained(runs: Sequence[Sequence[Row]], costs: Floats) -> Floats:
    """(runs, n) test accuracies of each run's most accurate network within each of (n,) executed MACs.

    NaN where a run has no network as cheap.
    """
    found = np.full((len(runs), len(costs)), np.nan)
    for own, rows in zip(found, runs, strict=True):
        for row in rows:
            affordable = costs >= row["executed_macs"]
            own[affordable] = np.fmax(own[affordable], row["test_accuracy"])
    return found


def draw_attainment(methods: Mapping[str, Sequence[Sequence[Row]]], budgets: Sequence[float]) -> Figure:
    """Test accuracy against executed MACs: networks (marks), median over seeds (line), range (band).

    Args:
        methods: By name, for each seed the networks.
        budgets: Executed MACs, drawn as upright lines.
    """
    figure = Figure(figsize=(7.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    costs = np.unique([row["executed_macs"] for runs in methods.values() for rows in runs for row in rows])
    costs = np.append(costs, costs[-1] * 1.05)
    for number, (name, runs) in enumerate(methods.items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        found = 100 * attained(runs, costs)
        whole = ~np.isnan(found).any(axis=0)
        at, each = costs[whole] / 1e6, found[:, whole]
        axes.step(at, np.median(each, axis=0), where="post", color=colour, lw=1.6, zorder=3)
        if len(runs) > 1:
            axes.fill_between(
                at, each.min(axis=0), each.max(axis=0), step="post", color=colour, alpha=0.15, lw=0
            )
        points = np.array(
            [(r["executed_macs"] / 1e6, 100 * r["test_accuracy"]) for rows in runs for r in rows]
        )
        axes.plot(*points.T, marker, color=colour, ms=5, mew=0, alpha=0.75, zorder=4)
        seeds = f", {len(runs)} seeds" if len(runs) > 1 else ""
        axes.plot([], [], f"{marker}-", color=colour, ms=5, label=f"{name}{seeds}")
    for budget in budgets:
        axes.axvline(budget / 1e6, color=CANDIDATE, lw=1, ls=":")
    axes.set_xlabel("executed MACs for one image (M = million multiply-adds)", color=INK)
    axes.set_ylabel("test accuracy (%)", color=INK)
    style(axes)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, labelcolor=INK, fontsize=9)
    return figure
