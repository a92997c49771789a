"""Output of `edanas tune`: a table or JSON of the old and the new thresholds, and the plot."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.table import Table

from edanas.cli.views.output import output_console, print_line, replace_plot
from edanas.model.tuning import Tuning
from edanas.report.plots import save
from edanas.report.threshold_plot import Interval, draw_tradeoff
from edanas.thresholds.budgets import format_quantity
from edanas.thresholds.optimism import Expected

_WIDTH = 100


def draw_tuning(tuning: Tuning, path: Path) -> Path:
    """Write the plot of accuracy against cost for all thresholds, and return `path`.

    Raises:
        ValueError: The tuning was made without labels.
    """
    front = tuning.front
    if front is None:
        raise ValueError("a tuning without labels has no accuracies to plot")
    is_latency = tuning.budget.quantity == "max_latency"
    scale, index = (1e-3, 1) if is_latency else (1e6, 0)
    unit = (
        "ms for one sample on average"
        if is_latency
        else "executed MACs for one sample (M = million multiply-adds)"
    )

    cost, accuracy = tuning.after.costs[index], tuning.after.accuracy
    old, new = (
        (each.costs[index].here / scale, each.accuracy.here) for each in (tuning.before, tuning.after)
    )
    expected = Interval(
        (cost.low / scale, cost.high / scale),
        (accuracy.low, accuracy.high),
        (cost.new / scale, accuracy.new),
    )
    required = tuning.required
    limit = ("cost", tuning.budget.limit / scale) if required is None else ("accuracy", required)
    figure = draw_tradeoff(
        front.cost / scale, front.accuracy, old=old, new=new, expected=expected, unit=unit, limit=limit
    )
    return replace_plot(path, lambda temporary: save(figure, temporary))


def show_tuning(tuning: Tuning, files: list[Path], remarks: list[str], *, as_json: bool) -> None:
    """Print the old and the new thresholds with their metrics, the remarks, and the paths of the files."""
    if as_json:
        typer.echo(json.dumps(_record(tuning, files, remarks), indent=2))
        return
    console = output_console(_WIDTH)
    table = Table(
        "", "old", "new", "on new samples (95%)", box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left"
    )
    for cells in _rows(tuning):
        table.add_row(*cells)
    console.print(f"{tuning.samples:,} samples; budget: {tuning.budget}", highlight=False)
    console.print(table)
    for remark in remarks:
        console.print(remark, markup=False, highlight=False)
    for path in files:
        print_line(console, f"Written: {path}")


def _rows(tuning: Tuning) -> list[tuple[str, str, str, str]]:
    """Return the rows of the table: name, old value, new value, and the estimate for new samples."""
    rows = []
    if not math.isnan(tuning.accuracy.here):
        rows.append(_row("accuracy", "min_accuracy", tuning.before.accuracy, tuning.after.accuracy))
    for quantity, old, new in zip(tuning.quantities, tuning.before.costs, tuning.after.costs, strict=True):
        rows.append(_row("executed" if quantity == "max_macs" else "latency", quantity, old, new))
    for index, (old, new) in enumerate(zip(tuning.before.shares, tuning.after.shares, strict=True)):
        is_last = index == len(tuning.scheme.thresholds)
        name = "last exit" if is_last else f"exit {index + 1}"
        if not is_last:
            before, after = tuning.old.thresholds[index], tuning.scheme.thresholds[index]
            if before is None and after is None:
                continue
            rows.append((f"{name}, threshold", _threshold(before), _threshold(after), ""))
        expected = _interval(new, "{:.1%}".format) if is_last or after is not None else ""
        rows.append((f"{name}, share", f"{old.here:.1%}", f"{new.here:.1%}", expected))
    return rows


def _row(name: str, quantity: Any, old: Expected, new: Expected) -> tuple[str, str, str, str]:
    def text(value: float) -> str:
        return format_quantity(quantity, value).removesuffix(" accuracy")

    return name, text(old.here), text(new.here), _interval(new, text)


def _interval(expected: Expected, text: Callable[[float], str]) -> str:
    return f"{text(expected.new)} ({text(expected.low)} to {text(expected.high)})"


def _threshold(value: float | None) -> str:
    return "no exit" if value is None else f"{value:.4f}"


def _record(tuning: Tuning, files: list[Path], remarks: list[str]) -> dict[str, Any]:
    """Return the tuning as a JSON object; unknown values are null."""
    has_labels = not math.isnan(tuning.accuracy.here)

    def figures(side: Any) -> dict[str, Any]:
        costs = {
            q.removeprefix("max_"): asdict(e) for q, e in zip(tuning.quantities, side.costs, strict=True)
        }
        accuracy = asdict(side.accuracy) if has_labels else None
        return {"accuracy": accuracy, **costs, "shares": [asdict(each) for each in side.shares]}

    front = tuning.front
    return {
        "samples": tuning.samples,
        "budget": asdict(tuning.budget),
        "old": {"thresholds": list(tuning.old.thresholds), **figures(tuning.before)},
        "new": {"thresholds": list(tuning.scheme.thresholds), **figures(tuning.after)},
        "front": None
        if front is None
        else [
            {"thresholds": list(scheme.thresholds), "accuracy": accuracy, "cost": cost}
            for scheme, accuracy, cost in zip(
                front.schemes, front.accuracy.tolist(), front.cost.tolist(), strict=True
            )
        ],
        "remarks": remarks,
        "files": [str(path) for path in files],
    }
