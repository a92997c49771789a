"""Plots made of characters, for terminals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edanas.numerics.pareto import non_dominated
from edanas.report.axis_limits import accuracy_floor
from edanas.report.formatting import mega


@dataclass(frozen=True)
class Glyphs:
    """Characters that a plot is made of.

    Args:
        dot: Character for a dominated candidate.
        best: Character for a candidate of the front.
        bars: Characters for the bars of a sparkline, from the lowest to the highest value.
        side: Character for the vertical axis.
        floor: Character for the horizontal axis.
        corner: Character for the corner where the axes meet.
    """

    dot: str = "·"
    best: str = "●"
    bars: str = "▁▂▃▄▅▆▇█"
    side: str = "│"
    floor: str = "─"
    corner: str = "└"


ASCII = Glyphs(dot=".", best="o", bars="_.-~=+*#", side="|", floor="-", corner="+")
"""Characters for terminals that show ASCII only."""


def sparkline(values: Sequence[float], width: int, glyphs: Glyphs = Glyphs()) -> str:
    """Return a sparkline: one character per value, whose height shows the value.

    Args:
        values: The values. Only the last `width` values are drawn, scaled from their lowest to their highest.
        width: Maximum number of characters.
        glyphs: The characters to draw with.

    Example:
        >>> sparkline([0.1, 0.5, 0.9], width=10, glyphs=ASCII)
        '_=#'
    """
    latest = list(values)[-width:]
    if not latest:
        return ""
    low, span = min(latest), max(latest) - min(latest)
    top = len(glyphs.bars) - 1
    return "".join(glyphs.bars[round(top * (value - low) / span) if span else 0] for value in latest)


def scatter(
    macs: Sequence[float],
    accuracy: Sequence[float],
    width: int,
    height: int,
    glyphs: Glyphs = Glyphs(),
) -> list[str]:
    """Return a scatter plot of accuracy against executed MACs, as lines of text.

    Candidates of the front have another character than dominated candidates.

    Args:
        macs: Executed MACs for one image of one or more candidates.
        accuracy: Accuracy of each candidate, a fraction.
        width: Width of the plot in characters.
        height: Height of the plot in lines, with the horizontal axis and its labels.
        glyphs: The characters to draw with.
    """
    x, y = np.asarray(macs, dtype=np.float64), 100 * np.asarray(accuracy, dtype=np.float64)
    best = non_dominated(np.column_stack([x, -y]))
    # The front sets the range of the axis; candidates below the range are drawn at its lower limit.
    low, high = accuracy_floor(list(y[best]), list(y)), float(y.max())
    rows, columns = height - 2, width - 8
    # Dominated candidates first, so that they do not cover the front.
    order = np.argsort(best, kind="stable")
    cells = [[" "] * columns for _ in range(rows)]
    for at in order:
        column = _cell(x[at], float(x.min()), float(x.max()), columns)
        row = rows - 1 - _cell(y[at], low, high, rows)
        cells[row][column] = glyphs.best if best[at] else glyphs.dot
    lines = []
    for row, line in enumerate(cells):
        label = f"{high:.1f}" if row == 0 else f"{low:.1f}" if row == rows - 1 else ""
        lines.append(f"{label:>6} {glyphs.side}{''.join(line)}".rstrip())
    lines.append(f"{'%':>6} {glyphs.corner}{glyphs.floor * columns}")
    ends = mega(float(x.min())), f"{mega(float(x.max()))} M executed MACs"
    lines.append(" " * 8 + ends[0] + ends[1].rjust(max(len(ends[1]) + 1, columns - len(ends[0]))))
    return lines


def _cell(value: float, low: float, high: float, count: int) -> int:
    """Return the index of the cell for `value` among `count` cells from `low` to `high`."""
    share = (value - low) / (high - low) if high > low else 0.5
    return round(min(max(share, 0.0), 1.0) * (count - 1))
