"""Tables and plot from the results of `search.py`."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from search_functions import Function, Values
from search_rivals import OURS
from search_runs import Run

from edanas.numerics.pareto import non_dominated

Runs = Mapping[tuple[Any, ...], Run]

TITLES = {
    "executed": "Digits table: error against executed MACs",
    "ada": "Digits table: error against ADA_MACS",
    "zdt5": "pymoo's ZDT5: 80 bits",
    "clutch": "pymoo's Clutch: 5 integers, 8 constraints",
    "ofa-like": "46 genes of Once-for-All: synthetic error against counted multiply-adds",
    **{
        f"nb201-{data}{end}": f"NAS-Bench-201, {name}: error against {cost}"
        for end, cost in (("", "latency"), ("-size", "number of parameters"))
        for data, name in (("cifar10", "CIFAR-10"), ("cifar100", "CIFAR-100"), ("imagenet", "ImageNet16-120"))
    },
}
PAPER = "paper"


def whole(function: Function, run: Run, size: int) -> float:
    """Return the share of the true front's hypervolume after `size` evaluations; 1 = the whole front.

    An evaluation of a nested strategy counts with its whole threshold front. Relative to the front with
    thresholds of the grid, its share can exceed 1.
    """
    if _nested(function, run):
        return function.share(with_thresholds(function, run, size)[0])
    return function.share(run.values[:size])


def with_thresholds(function: Function, run: Run, size: int) -> tuple[Values, Values]:
    """Return the threshold fronts of the evaluated backbones, on the searched and the held-out part."""
    side = function.nested() if _nested(function, run) else function
    return side.with_thresholds(run.genomes[:size])


def _nested(function: Function, run: Run) -> bool:
    return len(run.genomes) > 0 and run.genomes.shape[1] != function.space.dimensions


def thresholds_added(function: Function, run: Run, size: int) -> float:
    """Return the share of the front over all thresholds, with every evaluated backbone's threshold front."""
    return function.share_with_thresholds(with_thresholds(function, run, size)[0])


def held_out(function: Function, run: Run, size: int) -> float:
    """Return the share of the front of `thresholds_added` on the held-out samples."""
    searched, other = with_thresholds(function, run, size)
    return function.volume(other[non_dominated(searched)]) / function.best_held_out


def searched_held_out(function: Function, run: Run, size: int) -> float:
    """Return the share of the searched front on the held-out samples."""
    if _nested(function, run):
        return held_out(function, run, size)
    chosen = run.genomes[:size][non_dominated(run.values[:size])]
    return function.volume(function.held_out(chosen)) / function.best_held_out


def by_method(runs: Runs, function: Function, budget: int) -> dict[str, list[Run]]:
    """Return the runs for a budget: of each seed the one with the smallest budget that is large enough.

    Runs that stopped before the budget are included: see `arrived`.
    """
    selected: dict[tuple[str, int], Run] = {}
    for run in sorted(runs.values(), key=lambda run: -run.budget):
        if run.function == function.name and run.budget >= budget and run.table in (None, function.digest):
            other = selected.get((run.method, run.seed))
            if other is None or arrived(run, budget) or not arrived(other, budget):
                selected[run.method, run.seed] = run
    methods = defaultdict(list)
    for (method, _), run in sorted(selected.items(), key=lambda item: item[0]):
        methods[method].append(run)
    return dict(methods)


def arrived(run: Run, budget: int) -> bool:
    """True if a run reached the budget, or ended with no candidates left."""
    return len(run.values) >= budget or run.stopped == "ended"


def complete(runs: Runs, function: Function, budget: int) -> dict[str, list[Run]]:
    """Return the runs of the methods whose every run arrived, as fast seeds alone would bias the others."""
    methods = by_method(runs, function, budget)
    return {method: each for method, each in methods.items() if all(arrived(run, budget) for run in each)}


@dataclass(frozen=True)
class View:
    """One way to measure runs on a function.

    Args:
        function: The function.
        title: Title in table and plot.
        measure: (function, run, size) -> share after `size` evaluations.
        grows: True if the share never falls, so that it is plotted and has evaluations to a goal.
    """

    function: Any
    title: str
    measure: Callable[[Any, Run, int], float] = whole
    grows: bool = True


def views(functions: Sequence[Function]) -> list[View]:
    """Return the views as searched and, with exits, with all thresholds and on held-out samples."""
    result = []
    for function in functions:
        title = TITLES[function.name]
        result.append(View(function, title))
        if function.has_thresholds:
            more = "with the threshold front of each evaluated backbone"
            result.append(View(function, f"{title}, {more}", thresholds_added))
            result.append(View(function, f"{title}, {more}, on held-out samples", held_out, grows=False))
            result.append(View(function, f"{title}, on held-out samples", searched_held_out, grows=False))
    return result


def page(runs: Runs, functions: Sequence[Function], budgets: Sequence[int]) -> str:
    """Return all tables as Markdown."""
    machines = sorted({run.machine for run in runs.values() if run.machine})
    parts = [f"Made on {machine}.\n" for machine in machines]
    for view in views(functions):
        parts += [f"### {view.title}\n", _shares(runs, view, budgets)]
        parts += _estimates(runs, view.function, max(budgets))
        if view.grows:
            parts += ["", _reaching(runs, view, max(budgets))]
        parts.append("")
    return "\n".join(parts)


def is_ours(method: str) -> bool:
    """True for strategies of edanas; random search counts as a rival."""
    return method.startswith(OURS) and not method.endswith("random")


def label(method: str) -> str:
    """Return the displayed name of a method."""
    return {OURS + "random": "random search", PAPER: "the paper's procedure"}.get(method, method)


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Return median and quartiles as text."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _shares(runs: Runs, view: View, budgets: Sequence[int]) -> str:
    """Return a table of median share and quartiles by method and budget, ordered by the largest budget.

    If runs stopped before a budget, the cell has the number of runs that reached it in place of a median.
    """
    cells: dict[str, dict[int, list[float]]] = defaultdict(dict)
    cut: dict[tuple[str, int], str] = {}
    own: dict[str, str] = {}
    seeds: dict[str, dict[str, None]] = defaultdict(dict)
    for budget in budgets:
        for method, every in by_method(runs, view.function, budget).items():
            arrivals = [run for run in every if arrived(run, budget)]
            seeds[method][str(len(every))] = None
            own[method] = spread([sum(run.own) / max(1, len(run.values)) for run in every], 2)
            if len(arrivals) == len(every):
                cells[method][budget] = [view.measure(view.function, run, budget) for run in every]
            else:
                cells[method] |= {}
                cut[method, budget] = f"stopped before ({len(arrivals)} of {len(every)} reached it)"
    best = {b: max((np.median(c[b]) for c in cells.values() if b in c), default=0.0) for b in budgets}
    order = sorted(cells, key=lambda m: [-float(np.median(cells[m].get(b, [0]))) for b in reversed(budgets)])
    lines = [
        f"| method | {' | '.join(f'{b} evaluations' for b in budgets)} | seeds | own CPU s each |",
        f"|---|{'---|' * (len(budgets) + 2)}",
    ]
    for method in order:
        row = []
        for budget in budgets:
            values = cells[method].get(budget)
            text = spread(values) if values else cut.get((method, budget), "not run")
            row.append(f"**{text}**" if values and np.median(values) == best[budget] else text)
        lines.append(f"| {label(method)} | {' | '.join(row)} | {'/'.join(seeds[method])} | {own[method]} |")
    return "\n".join(lines)


def _estimates(runs: Runs, function: Function, budget: int) -> list[str]:
    """Return a line with the estimated values by method; empty if all values were measured."""
    counts = {
        method: (sum(function.estimated(run.genomes) for run in each), sum(len(r.genomes) for r in each))
        for method, each in by_method(runs, function, budget).items()
    }
    if not any(estimated for estimated, _ in counts.values()):
        return []
    listed = ", ".join(f"{label(m)} {some:,} of {every:,}" for m, (some, every) in counts.items())
    return [f"\nThe table is not exhaustive; estimated values: {listed}. Shares above 1 may occur."]


def _reaching(runs: Runs, view: View, budget: int) -> str:
    """Return a table of the evaluations to reach the final share of the paper's procedure."""
    methods = by_method(runs, view.function, budget)
    if PAPER not in complete(runs, view.function, budget):
        return "(no run of the paper's procedure)"
    goal = float(np.median([view.measure(view.function, run, budget) for run in methods[PAPER]]))
    lines = [
        f"Evaluations to {goal:.4f}, the median of the paper's procedure after {budget} "
        "(a run that stopped before never reaches it):\n",
        f"| method | median (quartiles) | share of {budget} | seeds that reach it |",
        "|---|---|---|---|",
    ]
    rows = []
    for method, each in methods.items():
        needed = np.array([_first(view, run, goal, budget) for run in each])
        quartiles = np.quantile(needed, [0.25, 0.5, 0.75], method="higher")
        low, middle, high = ("never" if np.isinf(n) else f"{n:.0f}" for n in quartiles)
        shares = ["" if np.isinf(n) else f"{n / budget:.2f}" for n in quartiles]
        share = f"{shares[1]} ({shares[0]} to {shares[2] or 'never'})" if shares[1] else ""
        reached = f"{int(np.isfinite(needed).sum())} of {len(needed)}"
        text = f"| {label(method)} | {middle} ({low} to {high}) | {share} | {reached} |"
        rows.append((quartiles[1], text))
    return "\n".join(lines + [text for _, text in sorted(rows)])


def _first(view: View, run: Run, goal: float, budget: int) -> float:
    """Return the evaluations at which a run reaches a share, by bisection; infinite if it never does.

    Bisection is valid since the share never falls.
    """
    budget = min(budget, len(run.values))
    if budget == 0 or view.measure(view.function, run, budget) < goal:
        return float("inf")
    low, high = 0, budget
    while high - low > 1:
        middle = (low + high) // 2
        reached = view.measure(view.function, run, middle) >= goal
        low, high = (low, middle) if reached else (middle, high)
    return high


def plot(runs: Runs, functions: Sequence[Function], budget: int, path: Path) -> None:
    """Plot medians and quartiles of the missing share against evaluations, on a log axis."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams.update({"svg.hashsalt": "search", "svg.fonttype": "none"})
    import matplotlib.pyplot as plt

    panels = [view for view in views(functions) if view.grows]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5.2 * columns, 3.6 * rows), squeeze=False)
    every = sorted({key[1] for key in runs}, key=lambda method: (is_ours(method), method))
    colours = {method: plt.get_cmap("tab20")(i % 20) for i, method in enumerate(every)}
    handles: dict[str, Any] = {}
    for axis, view in zip(axes.flat, panels, strict=False):
        handles |= _panel(axis, runs, view, budget, colours)
    for axis in list(axes.flat)[len(panels) :]:
        axis.set_axis_off()
    figure.legend(handles.values(), handles, loc="lower center", ncols=4, frameon=False, fontsize=9)
    lines = -(-len(handles) // 4)
    figure.tight_layout(rect=(0, 0.22 * lines / (3.6 * rows), 1, 1))
    figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)


def _panel(axis: Any, runs: Runs, view: View, budget: int, colours: Mapping[str, Any]) -> dict[str, Any]:
    """Draw a view and return its lines by label."""
    from matplotlib.ticker import LogFormatter

    sizes = [*range(12, 60, 6), *range(60, budget + 1, 20)]
    methods = complete(runs, view.function, min(sizes[-1], 60)) | complete(runs, view.function, budget)
    lines = {}
    for method, colour in colours.items():
        chosen = methods.get(method, [])
        if not chosen or (view.measure is whole and _nested(view.function, chosen[0])):
            continue
        upto = [size for size in sizes if size <= min(len(run.values) for run in chosen)]
        missing = [[1 - view.measure(view.function, run, size) for size in upto] for run in chosen]
        low, middle, high = np.maximum(np.quantile(missing, [0.25, 0.5, 0.75], axis=0), 1e-4)
        width, style, order = (2.4, "-", 3) if is_ours(method) else (1.2, "--", 2)
        (line,) = axis.plot(upto, middle, color=colour, lw=width, ls=style, zorder=order)
        lines[label(method)] = line
        axis.fill_between(upto, low, high, color=colour, alpha=0.15, lw=0)
    axis.set(xlabel="evaluated candidates", ylabel="missing share of hypervolume", xlim=(0, budget))
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.6, 0.6)))
    axis.set_title(view.title.replace(", with", ",\nwith"), fontsize=9)
    axis.grid(alpha=0.3, which="both", lw=0.4)
    return lines
