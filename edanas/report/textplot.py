"""Plots of characters, for terminals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edanas.numerics.pareto import non_dominated
from edanas.report.axis_limits import accuracy_floor
from edanas.report.formatting import mega


@dataclass(frozen=True)
class Glyphs:
    """Characters of a plot.

    Args:
        dot: A dominated candidate.
        best: A candidate of the front.
        bars: Bars from the lowest to the highest value.
        side: The vertical axis.
        floor: The horizontal axis.
        corner: The corner of both axes.
    """

    dot: str = "·"
    best: str = "●"
    bars: str = "▁▂▃▄▅▆▇█"
    side: str = "│"
    floor: str = "─"
    corner: str = "└"


ASCII = Glyphs(dot=".", best="o", bars="_.-~=+*#", side="|", floor="-", corner="+")
"""Characters for terminals with ASCII only."""


def sparkline(values: Sequence[float], width: int, glyphs: Glyphs = Glyphs()) -> str:
    """Return the last `width` values as bars between the lowest and the highest of them.

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
    """Return accuracy in percent against executed MACs in M as lines of text, with the front marked.

    Args:
        macs: Executed MACs of one or more candidates.
        accuracy: Their accuracies, fractions.
        width: Characters in a line.
        height: Lines, with the axis and its labels.
        glyphs: The characters to draw with.
    """
    x, y = np.asarray(macs, dtype=np.float64), 100 * np.asarray(accuracy, dtype=np.float64)
    best = non_dominated(np.column_stack([x, -y]))
    # The front sets the range; much worse candidates lie on the floor.
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
    share = (value - low) / (high - low) if high > low else 0.5
    return round(min(max(share, 0.0), 1.0) * (count - 1))
