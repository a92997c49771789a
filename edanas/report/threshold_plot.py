"""Plot of accuracy against cost of one network over its thresholds, with old and new thresholds marked."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from edanas.report.plots import CANDIDATE, EARLY, INK, SINGLE, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """Expected cost and accuracy of thresholds on new samples, with 95% intervals.

    Args:
        cost: Lower and upper end of the interval of the cost, in the unit of the cost axis.
        accuracy: Lower and upper end of the interval of the accuracy, as fractions.
        centre: Expected cost, in the unit of the cost axis, and expected accuracy, a fraction.
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
) -> "Figure":
    """Draw accuracy against cost of the F selection schemes that are Pareto optimal on the given samples.

    Args:
        cost: Cost of each scheme on the samples, of shape (F,), rising, in the unit of the cost axis.
        accuracy: Accuracy of each scheme on the samples, of shape (F,), fractions.
        old: Cost and accuracy of the old thresholds on the samples.
        new: Cost and accuracy of the new thresholds on the samples.
        expected: Expected cost and accuracy of the new thresholds on new samples.
        unit: Title of the cost axis, with its unit.
        limit: A pair. The first item is `cost` or `accuracy`, the axis on which the budget is drawn. The
            second item is the budget, in the unit of the cost axis or as a fraction.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.8), layout="constrained")
    axes = figure.add_subplot()
    axis, value = limit
    line = axes.axvline if axis == "cost" else axes.axhline
    line(value if axis == "cost" else 100 * value, color=INK, lw=1, ls=":", label="budget")
    axes.step(cost, 100 * accuracy, where="post", color=CANDIDATE, lw=1.2)
    axes.plot(cost, 100 * accuracy, ".", color=INK, ms=3.5, label="best thresholds on these samples")
    for point, color, shape, name in ((old, SINGLE, "s", "old"), (new, EARLY, "o", "new")):
        label = f"{name} thresholds on these samples"
        axes.plot(point[0], 100 * point[1], shape, color=color, ms=8, label=label)
    _draw_interval(axes, expected)
    axes.set_xlabel(unit, color=INK)
    axes.set_ylabel("accuracy (%)", color=INK)
    style(axes)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return figure


def _draw_interval(axes: "Axes", expected: Interval) -> None:
    """Draw a cross whose arms are the 95% intervals of cost and accuracy."""
    cost, accuracy = expected.centre
    upright = [100 * end for end in expected.accuracy]
    axes.plot([cost, cost], upright, color=EARLY, lw=1.4, alpha=0.6)
    label = "new thresholds on new samples (95%)"
    axes.plot(expected.cost, [100 * accuracy] * 2, color=EARLY, lw=1.4, alpha=0.6, label=label)
