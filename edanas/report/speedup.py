"""The plot of what early exits save on a machine, against what multiply-adds promise."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edanas.report.plots import CANDIDATE, INK, style

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK)
"""Okabe and Ito's, for a form of a network each; when all are taken, they come again with hollow marks."""

_MARKERS = "osD^vP*X"
"""For a batch size each."""


class Series(NamedTuple):
    """One form of one network.

    Args:
        name: For the legend.
        speed_ups: Batch size, MACs ratio and measured speed-up.
        exits: By exit: its name, milliseconds of an image that leaves there, and the 95th percentile.
    """

    name: str
    speed_ups: Sequence[tuple[int, float, float]]
    exits: Sequence[tuple[str, float, float]]


def draw_speedup(series: Sequence[Series]) -> Figure:
    """Measured speed-up against the ratio of multiply-adds, and latency by exit where it was measured."""
    by_exit = any(each.exits for each in series)
    figure = Figure(figsize=(10.0 if by_exit else 5.4, 4.8), layout="constrained")
    panels = figure.subplots(1, 2 if by_exit else 1, squeeze=False)[0]
    _draw_ratios(panels[0], series, named=not by_exit)
    if by_exit:
        _draw_exits(panels[1], series)
    return figure


def _draw_ratios(axes: Axes, series: Sequence[Series], *, named: bool) -> None:
    """Colours are forms, named here where no other panel does."""
    points = [point for each in series for point in each.speed_ups]
    top = 1.05 * max([1.0, *(value for _, *values in points for value in values)])
    axes.plot([0, top], [0, top], color=CANDIDATE, lw=1.2, ls="--", label="as multiply-adds promise")
    axes.axhline(1.0, color=CANDIDATE, lw=0.8, ls=":", label="the backbone alone")
    sizes = sorted({size for size, *_ in points})
    for number, each in enumerate(series):
        if named:
            axes.plot([], [], "o", ms=7, label=each.name, **_look(number))
        for size, ratio, speed_up in each.speed_ups:
            mark = _MARKERS[sizes.index(size) % len(_MARKERS)]
            axes.plot(ratio, speed_up, mark, ms=7, alpha=0.85, **_look(number))
    for size in sizes:
        mark = _MARKERS[sizes.index(size) % len(_MARKERS)]
        axes.plot([], [], mark, color=INK, ms=7, label=f"batches of {size}")
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    axes.set_xlabel("MACs ratio: backbone to executed", color=INK)
    axes.set_ylabel("measured speed-up", color=INK)
    _finish(axes)


def _draw_exits(axes: Axes, series: Sequence[Series]) -> None:
    names = list(dict.fromkeys(name for each in series for name, *_ in each.exits))
    names.sort(key=lambda name: (name == "last exit", name))
    for number, each in enumerate(series):
        if not each.exits:
            continue
        places = [names.index(name) for name, *_ in each.exits]
        _, means, high = zip(*each.exits, strict=True)
        look = _look(number)
        axes.plot(places, means, "o-", ms=5, lw=1.4, label=each.name, **look)
        axes.plot(places, high, "_", color=look["color"], ms=9)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("ms for a single image that leaves there\n(dash: 95% take less)", color=INK)
    _finish(axes)


def _finish(axes: Axes) -> None:
    style(axes)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, labelcolor=INK, fontsize=8)


def _look(number: int) -> dict[str, Any]:
    """Colour and filling of a series' marks; no two of the first 14 look alike."""
    again, color = divmod(number, len(_COLORS))
    filled = {"markerfacecolor": "none", "markeredgewidth": 1.4} if again % 2 else {"markeredgewidth": 0}
    return {"color": _COLORS[color], **filled}
