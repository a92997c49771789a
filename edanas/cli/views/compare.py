"""Output of `edanas compare`: the table of methods."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from edanas.cli.views.output import output_console, print_line
from edanas.core.visible import visible
from edanas.report.comparison import Comparison
from edanas.report.formatting import CONVENTION, NONE, mega
from edanas.report.importance import NOTE, most_important

_NOTE = (
    "Accuracy and MACs are measured on the test part, with the network that is most accurate on the "
    "validation part; the values are means over seeds ± standard deviation. % of single is the "
    "network's executed MACs relative to the cheapest single-exit network of its run, cut ones included, "
    "with at least the same validation accuracy. Hypervolume is the share of a box "
    "that a method's networks dominate. The box lies between zero cost, zero error and the worst network "
    f"of all methods. {CONVENTION}"
)


_GENES = 5
"""Number of choices in the table of importances, for each method and objective."""


def show_comparison(comparison: Comparison, files: Sequence[Path]) -> None:
    """Print the table of methods, a note on its columns, and the paths of the files that were written."""
    console = output_console()
    console.print(_table(comparison))
    console.print(_NOTE, style="dim", highlight=False)
    if remarks := _plain_remarks(comparison):
        console.print(" ".join(remarks), style="dim", markup=False, highlight=False)
    if genes := _importance(comparison):
        console.print(genes)
        console.print(NOTE, style="dim", highlight=False)
    for path in files:
        print_line(console, f"Written: {path}")


def _plain_remarks(comparison: Comparison) -> list[str]:
    """Return a sentence for each method of plain networks on the cheapest searched networks as accurate."""
    plain = {method.name for method in comparison.methods if method.plain}
    remarks = []
    for method in comparison.summary():
        if method["method"] in plain:
            macs = _with_spread(method["as_accurate_macs"], method["spread"]["as_accurate_macs"], 1e-6, 3)
            cost = f"takes {macs}M executed MACs" if macs != NONE else "does not exist for every seed"
            remarks.append(
                f"{method['method'].capitalize()}: the cheapest network of the search that is as accurate on "
                f"the validation part {cost}."
            )
    return remarks


def _table(comparison: Comparison) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    headings = [
        "seeds",
        "acc.\n%",
        "exec.\nMACs M",
        "ADA_\nMACS M",
        "% of\nsingle",
        "hyper-\nvolume",
        "single\nexits'",
    ]
    headings += [f"% in\n{mega(budget)}M" for budget in comparison.budgets]
    table.add_column("method", vertical="bottom", overflow="fold")
    for heading in (*headings, "evalu-\nated", "sec-\nonds"):
        table.add_column(heading, justify="right", vertical="bottom")
    for method in comparison.summary():
        table.add_row(*_cells(method, comparison.budgets))
    return table


def _importance(comparison: Comparison) -> Table | None:
    """Return the table of the most important choices by method and objective; `None` if none is known."""
    by_method = comparison.importance()
    if not by_method:
        return None
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("method", vertical="bottom", overflow="fold")
    table.add_column("objective", vertical="bottom")
    table.add_column("tau", justify="right", vertical="bottom")
    table.add_column("importance of choices", vertical="bottom", overflow="fold")
    for name, importances in by_method.items():
        for each in importances:
            top = ", ".join(f"{gene} {each.genes[gene]:.2f}" for gene in most_important([each], _GENES))
            table.add_row(
                escape(visible(name)),
                escape(visible(each.objective)),
                f"{each.tau:.2f}",
                escape(visible(top)),
            )
    return table


def _cells(method: Mapping[str, Any], budgets: Sequence[float]) -> list[str]:
    spread = method["spread"]

    def cell(key: str, scale: float, digits: int) -> str:
        return _with_spread(method[key], spread[key], scale, digits)

    within = [_with_spread(method["within"][b], spread["within"][b], 100, 1) for b in budgets]
    return [
        escape(visible(method["method"])),
        str(len(method["seeds"])),
        cell("accuracy", 100, 1),
        cell("executed_macs", 1e-6, 3),
        cell("ada_macs", 1e-6, 3),
        cell("rival_cost", 100, 0),
        cell("hypervolume", 1, 3),
        cell("single_exit_hypervolume", 1, 3),
        *within,
        cell("evaluations", 1, 0),
        cell("seconds", 1, 0),
    ]


def _with_spread(mean: float | None, deviation: float | None, scale: float, digits: int) -> str:
    if mean is None:
        return NONE
    text = f"{scale * mean:.{digits}f}"
    return text if deviation is None else f"{text}±{scale * deviation:.{digits}f}"
