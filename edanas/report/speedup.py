"""Plot of the measured speed-up of early exits against the ratio of multiply-adds, and of latency by exit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from edanas.report.plots import CANDIDATE, INK, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK)
"""The colours of Okabe and Ito, one for each form of a network; forms after the seventh have hollow marks."""

_MARKERS = "osD^vP*X"
"""Matplotlib markers, one for each batch size."""


class Series(NamedTuple):
    """Measurements of one form of a network, e.g. `torch` or an exported file.

    Args:
        name: Name of the form in the legend.
        speed_ups: Batch size, MACs ratio and measured speed-up of each measurement. The MACs ratio is the
            MACs of the backbone divided by the executed MACs. The speed-up is the latency of the backbone
            divided by the latency of the early-exit network.
        exits: Name of each exit, then mean and 95th percentile of the latency, in milliseconds, of a single
            image that exits there; empty = not measured.
    """

    name: str
    speed_ups: Sequence[tuple[int, float, float]]
    exits: Sequence[tuple[str, float, float]]


def draw_speedup(series: Sequence[Series]) -> "Figure":
    """Draw the measured speed-up against the MACs ratio, and the latency by exit if it was measured."""
    from matplotlib.figure import Figure

    by_exit = any(form.exits for form in series)
    figure = Figure(figsize=(10.0 if by_exit else 5.4, 4.8), layout="constrained")
    panels = figure.subplots(1, 2 if by_exit else 1, squeeze=False)[0]
    _draw_ratios(panels[0], series, named=not by_exit)
    if by_exit:
        _draw_exits(panels[1], series)
    return figure


def _draw_ratios(axes: "Axes", series: Sequence[Series], *, named: bool) -> None:
    """Draw the speed-ups, with one colour per form; with `named`, the legend lists the forms."""
    points = [point for form in series for point in form.speed_ups]
    top = 1.05 * max([1.0, *(value for _, *values in points for value in values)])
    axes.plot([0, top], [0, top], color=CANDIDATE, lw=1.2, ls="--", label="proportional to multiply-adds")
    axes.axhline(1.0, color=CANDIDATE, lw=0.8, ls=":", label="the backbone alone")
    sizes = sorted({size for size, *_ in points})
    for number, form in enumerate(series):
        if named:
            axes.plot([], [], "o", ms=7, label=form.name, **_look(number))
        for size, ratio, speed_up in form.speed_ups:
            mark = _MARKERS[sizes.index(size) % len(_MARKERS)]
            axes.plot(ratio, speed_up, mark, ms=7, alpha=0.85, **_look(number))
    for size in sizes:
        mark = _MARKERS[sizes.index(size) % len(_MARKERS)]
        axes.plot([], [], mark, color=INK, ms=7, label=f"batches of {size}")
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    axes.set_xlabel("MACs ratio: MACs of the backbone / executed MACs", color=INK)
    axes.set_ylabel("measured speed-up", color=INK)
    _finish(axes)


def _draw_exits(axes: "Axes", series: Sequence[Series]) -> None:
    """Draw mean and 95th percentile of the latency by exit, with one line per form."""
    names = list(dict.fromkeys(name for form in series for name, *_ in form.exits))
    names.sort(key=lambda name: (name == "last exit", name))
    for number, form in enumerate(series):
        if not form.exits:
            continue
        places = [names.index(name) for name, *_ in form.exits]
        _, means, high = zip(*form.exits, strict=True)
        look = _look(number)
        axes.plot(places, means, "o-", ms=5, lw=1.4, label=form.name, **look)
        axes.plot(places, high, "_", color=look["color"], ms=9)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("ms for a single sample that exits there\n(dash: 95th percentile)", color=INK)
    _finish(axes)


def _finish(axes: "Axes") -> None:
    """Set the style and the legend."""
    style(axes)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, labelcolor=INK, fontsize=8)


def _look(number: int) -> dict[str, Any]:
    """Return the colour and the filling of the marks of a form; the first 14 forms look different."""
    cycle, color = divmod(number, len(_COLORS))
    filled = {"markerfacecolor": "none", "markeredgewidth": 1.4} if cycle % 2 else {"markeredgewidth": 0}
    return {"color": _COLORS[color], **filled}
