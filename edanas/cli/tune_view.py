"""How a tuning is told: the table, JSON, and the plot."""

import math
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from edanas.core.runfolder import replace_file
from edanas.model.tuning import Tuning
from edanas.report.plots import save
from edanas.report.threshold_plot import Interval, draw_tradeoff
from edanas.thresholds.budgets import format_quantity
from edanas.thresholds.optimism import Expected

_WIDTH = 100


def draw(done: Tuning, path: Path) -> Path:
    """Write the plot, replaced as a whole, and return its path."""
    front = done.front
    if front is None:
        raise ValueError("there is no trade-off without labels")
    seconds = done.budget.quantity == "max_latency"
    scale, at = (1e-3, 1) if seconds else (1e6, 0)
    unit = (
        "ms for one image on average"
        if seconds
        else "executed MACs for one image (M = million multiply-adds)"
    )

    cost, accuracy = done.after.costs[at], done.after.accuracy
    old, new = ((found.costs[at].here / scale, found.accuracy.here) for found in (done.before, done.after))
    expected = Interval(
        (cost.low / scale, cost.high / scale),
        (accuracy.low, accuracy.high),
        (cost.new / scale, accuracy.new),
    )
    of_accuracy = done.budget.quantity == "min_accuracy"
    limit = ("accuracy", done.budget.limit) if of_accuracy else ("cost", done.budget.limit / scale)
    figure = draw_tradeoff(
        front.cost / scale, front.accuracy, old=old, new=new, expected=expected, unit=unit, limit=limit
    )
    with TemporaryDirectory() as folder:
        whole = Path(folder) / path.name
        save(figure, whole)
        replace_file(path, whole.read_bytes())
    return path


def show(done: Tuning, files: list[Path], remarks: list[str]) -> None:
    """Print the table, what should be known, and where the files are."""
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    table = Table(
        "", "old", "new", "on new images (95%)", box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left"
    )
    for name, old, new, expected in _rows(done):
        table.add_row(name, old, new, expected)
    console.print(f"{done.samples:,} samples; asked: {done.budget}", highlight=False)
    console.print(table)
    for remark in remarks:
        console.print(remark, markup=False, highlight=False)
    for path in files:
        console.print(f"Written: {path}", markup=False, highlight=False, soft_wrap=True)


def _rows(done: Tuning) -> list[tuple[str, str, str, str]]:
    """Name, old, new, and what to expect on new samples."""
    rows = []
    if not math.isnan(done.accuracy.here):
        rows.append(_row("accuracy", "min_accuracy", done.before.accuracy, done.after.accuracy))
    for quantity, old, new in zip(done.quantities, done.before.costs, done.after.costs, strict=True):
        rows.append(_row("executed" if quantity == "max_macs" else "latency", quantity, old, new))
    for at, (old, new) in enumerate(zip(done.before.shares, done.after.shares, strict=True)):
        last = at == len(done.scheme.thresholds)
        name = "last exit" if last else f"exit {at + 1}"
        if not last:
            before, after = done.old.thresholds[at], done.scheme.thresholds[at]
            if before is None and after is None:
                continue
            rows.append((f"{name}, threshold", _threshold(before), _threshold(after), ""))
        expected = _interval(new, "{:.1%}".format) if last or after is not None else ""
        rows.append((f"{name}, leave there", f"{old.here:.1%}", f"{new.here:.1%}", expected))
    return rows


def _row(name: str, quantity: Any, old: Expected, new: Expected) -> tuple[str, str, str, str]:
    def text(value: float) -> str:
        return format_quantity(quantity, value).removesuffix(" accuracy")

    return name, text(old.here), text(new.here), _interval(new, text)


def _interval(found: Expected, text: Any) -> str:
    return f"{text(found.new)} ({text(found.low)} to {text(found.high)})"


def _threshold(value: float | None) -> str:
    return "no exit" if value is None else f"{value:.4f}"


def plain(done: Tuning, files: list[Path], remarks: list[str]) -> dict[str, Any]:
    """Everything in JSON's types; what is not known is null."""
    labels = not math.isnan(done.accuracy.here)

    def figures(found: Any) -> dict[str, Any]:
        costs = {q.removeprefix("max_"): asdict(e) for q, e in zip(done.quantities, found.costs, strict=True)}
        accuracy = asdict(found.accuracy) if labels else None
        return {"accuracy": accuracy, **costs, "shares": [asdict(each) for each in found.shares]}

    front = done.front
    return {
        "samples": done.samples,
        "budget": asdict(done.budget),
        "old": {"thresholds": list(done.old.thresholds), **figures(done.before)},
        "new": {"thresholds": list(done.scheme.thresholds), **figures(done.after)},
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
