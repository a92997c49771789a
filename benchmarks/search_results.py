"""Tables and plot from the results of `search.py`."""

import os
import platform
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from search_functions import Function, Values
from search_rivals import OURS
from search_runs import Run

from edanas.core.pareto import non_dominated

Runs = Mapping[tuple[Any, ...], Run]

TITLES = {
    "executed": "Digits table: error against executed MACs",
    "ada": "Digits table: error against ADA_MACS",
    "zdt5": "pymoo's ZDT5: 80 bits",
    "clutch": "pymoo's Clutch: 5 integers, 8 constraints",
}
PACKAGES = ("numpy", "scipy", "torch", "pymoo", "optuna", "botorch", "gpytorch")
PAPER = "paper"


def machine() -> str:
    """What ran where."""
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    load = os.getloadavg()[0]
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python "
        f"{platform.python_version()}; {', '.join(found)}"
    )


def whole(function: Function, run: Run, size: int) -> float:
    """The share of the true front's hypervolume after `size` evaluations; 1 is all of it.

    A nested strategy's evaluation counts with the whole threshold front that it brings, measured against the
    front of all candidates with thresholds of the grid: above 1 is possible.
    """
    if _nested(function, run):
        return function.share(with_thresholds(function, run, size)[0])
    return function.share(run.values[:size])


def with_thresholds(function: Function, run: Run, size: int) -> tuple[Values, Values]:
    """What the evaluated backbones offer with all thresholds, as searched and held out."""
    side = function.nested() if _nested(function, run) else function
    return side.with_thresholds(run.genomes[:size])


def _nested(function: Function, run: Run) -> bool:
    return len(run.genomes) > 0 and run.genomes.shape[1] != function.space.dimensions


def thresholds_added(function: Function, run: Run, size: int) -> float:
    """As `whole`, with every evaluated backbone's threshold front, against the front of all those fronts."""
    return function.share_with_thresholds(with_thresholds(function, run, size)[0])


def held_out(function: Function, run: Run, size: int) -> float:
    """What the front of `thresholds_added` is worth on samples that nobody searched on."""
    searched, other = with_thresholds(function, run, size)
    return function._volume(other[non_dominated(searched)]) / function.best_held_out


def by_method(runs: Runs, function: Function, budget: int) -> dict[str, list[Run]]:
    """The runs that answer for a budget: of each seed the one with the smallest that is no smaller."""
    found: dict[tuple[str, int], Run] = {}
    for (name, method, seed, given), run in sorted(runs.items(), key=lambda item: -item[0][3]):
        if name == function.name and given >= budget and len(run.values) >= min(budget, given):
            found[method, seed] = run
    methods = defaultdict(list)
    for (method, _), run in sorted(found.items()):
        methods[method].append(run)
    return dict(methods)


def page(runs: Runs, functions: Sequence[Function], budgets: Sequence[int]) -> str:
    """All tables, as Markdown."""
    parts = []
    for function in functions:
        parts.append(f"## {TITLES[function.name]}\n")
        parts.append(_shares(runs, function, budgets, whole))
        if hasattr(function, "with_thresholds"):
            parts.append("\nWith the threshold front of every backbone that a method evaluated:\n")
            parts.append(_shares(runs, function, budgets, thresholds_added))
            parts.append("\nThe same fronts on held-out samples:\n")
            parts.append(_shares(runs, function, budgets, held_out))
        parts.append("\nEvaluations to the median final hypervolume of the paper's procedure:\n")
        parts.append(_reaching(runs, function, max(budgets)))
    return "\n".join(parts)


def is_ours(method: str) -> bool:
    """Random search is a rival, too."""
    return method.startswith(OURS) and not method.endswith("random")


def label(method: str) -> str:
    """A method's name as readers see it."""
    return {OURS + "random": "random search", PAPER: "the paper's procedure"}.get(method, method)


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Median and quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _shares(
    runs: Runs,
    function: Function,
    budgets: Sequence[int],
    measure: Callable[[Any, Run, int], float],
) -> str:
    """Median share and quartiles for each method and budget; the best method of the largest budget first."""
    cells: dict[str, dict[int, list[float]]] = defaultdict(dict)
    own: dict[str, str] = {}
    for budget in budgets:
        for method, found in by_method(runs, function, budget).items():
            cells[method][budget] = [measure(function, run, budget) for run in found]
            own[method] = f"{np.median([sum(run.own) / len(run.values) for run in found]):.2f}"
    best = {b: max((np.median(c[b]) for c in cells.values() if b in c), default=0.0) for b in budgets}
    order = sorted(cells, key=lambda m: [-float(np.median(cells[m].get(b, [0]))) for b in reversed(budgets)])
    lines = [
        f"| method | {' | '.join(f'{b} evaluations' for b in budgets)} | seeds | own CPU s a candidate |",
        f"|---|{'---|' * (len(budgets) + 2)}",
    ]
    for method in order:
        row = []
        for budget in budgets:
            values = cells[method].get(budget)
            text = spread(values) if values else "stopped before"
            row.append(f"**{text}**" if values and np.median(values) == best[budget] else text)
        seeds = "/".join(dict.fromkeys(str(len(values)) for values in cells[method].values()))
        lines.append(f"| {label(method)} | {' | '.join(row)} | {seeds} | {own[method]} |")
    return "\n".join(lines)


def _reaching(runs: Runs, function: Function, budget: int) -> str:
    """How many evaluations each method needs for what the paper's procedure has at the end."""
    found = by_method(runs, function, budget)
    if PAPER not in found:
        return "(no run of the paper's procedure)"
    goal = float(np.median([whole(function, run, budget) for run in found[PAPER]]))
    lines = [
        f"The goal is {goal:.4f}.\n",
        f"| method | evaluations, median and quartiles | share of {budget} | seeds that reach it |",
        "|---|---|---|---|",
    ]
    rows = []
    for method, each in found.items():
        needed = np.array([_first(function, run, goal, budget) for run in each])
        low, middle, high = np.quantile(needed, [0.25, 0.5, 0.75], method="higher")
        text = " to ".join("never" if np.isinf(n) else f"{n:.0f}" for n in (low, high))
        shown = "never" if np.isinf(middle) else f"{middle:.0f}"
        ratio = "" if np.isinf(middle) else f"{middle / budget:.2f}"
        reached = f"{int(np.isfinite(needed).sum())} of {len(needed)}"
        rows.append((middle, f"| {label(method)} | {shown} ({text}) | {ratio} | {reached} |"))
    return "\n".join(lines + [text for _, text in sorted(rows)])


def _first(function: Function, run: Run, goal: float, budget: int) -> float:
    """The number of evaluations at which a run reaches a share; infinite where it never does.

    Found by bisection: a share never falls.
    """
    if whole(function, run, budget) < goal:
        return float("inf")
    low, high = 0, budget
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if whole(function, run, middle) >= goal else (middle, high)
    return high


def curves(function: Function, runs: Sequence[Run], sizes: Sequence[int]) -> Values:
    """(runs, sizes) missing shares, 1 - `whole`."""
    return np.array([[1 - whole(function, run, size) for size in sizes] for run in runs])


def plot(runs: Runs, functions: Sequence[Function], budget: int, path: Path) -> None:
    """Medians and quartiles of the share that is still missing, against evaluations, on a log axis."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "search"
    import matplotlib.pyplot as plt

    sizes = [*range(12, 60, 8), *range(60, budget + 1, 20)]
    columns = 2 if len(functions) > 1 else 1
    rows = -(-len(functions) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5.2 * columns, 3.9 * rows), squeeze=False)
    every = sorted({key[1] for key in runs}, key=lambda method: (is_ours(method), method))
    colours = {method: plt.get_cmap("tab10")(i % 10) for i, method in enumerate(every)}
    for axis, function in zip(axes.flat, functions, strict=False):
        found = by_method(runs, function, budget)
        shorter = {m: r for m, r in by_method(runs, function, min(60, budget)).items() if m not in found}
        for method in (m for m in every if m in found or m in shorter):
            chosen = found.get(method) or shorter[method]
            least = min(len(run.values) for run in chosen)
            upto = [size for size in sizes if size <= least]
            low, middle, high = np.quantile(curves(function, chosen, upto), [0.25, 0.5, 0.75], axis=0)
            ours = is_ours(method)
            axis.plot(
                upto,
                middle,
                color=colours[method],
                label=label(method),
                lw=2.4 if ours else 1.2,
                ls="-" if ours else "--",
                zorder=3 if ours else 2,
            )
            axis.fill_between(upto, low, high, color=colours[method], alpha=0.15, lw=0)
        axis.set(title=TITLES[function.name], xlabel="evaluated candidates", yscale="log", xlim=(0, budget))
        axis.set_ylabel("missing share of hypervolume")
        axis.grid(alpha=0.3, which="both", lw=0.4)
    for axis in list(axes.flat)[len(functions) :]:
        axis.set_axis_off()
    handles: dict[str, Any] = {}
    for axis in axes.flat:
        handles.update({text: handle for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)})
    figure.legend(handles.values(), handles, loc="lower center", ncols=4, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.05 + 0.02 * (len(handles) > 4), 1, 1))
    figure.savefig(path, metadata={"Date": None})
