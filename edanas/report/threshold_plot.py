"""The plot of one network's whole trade-off over thresholds, with the choice made on it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from edanas.report.plots import CANDIDATE, EARLY, INK, SINGLE, style

Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """What to expect on new samples.

    Args:
        cost: The 95% interval, in the plot's unit.
        accuracy: The same, in fractions.
        centre: (cost, accuracy), the best guess.
    """

    cost: tuple[float, float]
    accuracy: tuple[float, float]
    centre: tuple[float, float]


def draw_tradeoff(
    cost: Floats,
    accuracy: Floats,
    *,
    old: tuple[float, float],
    new: tuple[float, float],
    expected: Interval,
    unit: str,
    limit: tuple[str, float],
) -> Figure:
    """Accuracy against cost of all schemes that are Pareto optimal on some samples.

    Args:
        cost: (F,) in the plot's unit, rising.
        accuracy: (F,) fractions.
        old: (cost, accuracy) of the thresholds before, on these samples.
        new: The same of the thresholds chosen.
        expected: Of the thresholds chosen.
        unit: What the cost is, for the axis.
        limit: `cost` or `accuracy`, and the budget on that axis.
    """
    figure = Figure(figsize=(7.0, 4.8), layout="constrained")
    axes = figure.add_subplot()
    axis, value = limit
    line = axes.axvline if axis == "cost" else axes.axhline
    line(value if axis == "cost" else 100 * value, color=INK, lw=1, ls=":", label="budget")
    axes.step(cost, 100 * accuracy, where="post", color=CANDIDATE, lw=1.2)
    axes.plot(cost, 100 * accuracy, ".", color=INK, ms=3.5, label="best thresholds on these samples")
    for mark, color, shape, name in ((old, SINGLE, "s", "old"), (new, EARLY, "o", "new")):
        axes.plot(
            mark[0], 100 * mark[1], shape, color=color, ms=8, label=f"{name} thresholds on these samples"
        )
    at, height = expected.centre
    axes.plot([at, at], [100 * end for end in expected.accuracy], color=EARLY, lw=1.4, alpha=0.6)
    axes.plot(
        *(expected.cost, [100 * height] * 2),
        color=EARLY,
        lw=1.4,
        alpha=0.6,
        label="new thresholds on new samples (95%)",
    )
    axes.set_xlabel(unit, color=INK)
    axes.set_ylabel("accuracy (%)", color=INK)
    style(axes)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return figure
