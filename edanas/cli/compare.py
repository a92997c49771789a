"""`edanas compare RUN...`: several runs on the same images side by side, with the spread over seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from edanas.cli.targets import check_file, check_plot
from edanas.core.errors import ConfigError
from edanas.core.runfolder import replace_file
from edanas.report.comparison import Comparison
from edanas.report.comparison import compare as compare_runs
from edanas.report.formatting import CONVENTION, NONE, mega
from edanas.thresholds.budgets import parse_budget


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Folders of finished runs; NAME=FOLDER gives the method's name, which is otherwise made of "
            "the settings that differ."
        ),
    ],
    *,
    at: Annotated[
        list[str] | None,
        typer.Option(help="Tell the accuracy within so many executed MACs, e.g. 1.5M. May be repeated."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw what each method attains to this .svg, .png or .pdf.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write all figures, by method and by run.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a line for each run.")] = None,
) -> None:
    """Compare runs: accuracy, costs, hypervolume and time of each method, with the spread over seeds."""
    names, folders = zip(*(_parted(run) for run in runs), strict=True)
    check_plot(plot)
    check_file("--json", json)
    check_file("--csv", csv)
    found = compare_runs(folders, names, [_macs(each) for each in at or []])
    console = Console(highlight=False)
    console.print(_table(found))
    console.print(_NOTE, style="dim")
    if plot:
        found.plot(plot)
    if json:
        replace_file(json, found.to_json().encode())
    if csv:
        replace_file(csv, found.to_dataframe().to_csv(index=False).encode())
    for path in filter(None, (plot, json, csv)):
        console.print(f"Written: {path}", markup=False, soft_wrap=True)


def _parted(run: str) -> tuple[str | None, Path]:
    """A method's name, if any, and the run's folder; a folder may have `=` in its name."""
    name, equals, folder = run.partition("=")
    if not equals or Path(run).exists():
        return None, Path(run)
    if not name or not folder:
        raise ConfigError(f"RUN: found '{run}'; expected a folder, or NAME=FOLDER")
    return name, Path(folder)


def _macs(text: str) -> float:
    try:
        return parse_budget(max_macs=text).limit
    except ConfigError as error:
        raise ConfigError(str(error).replace("max_macs", "--at", 1)) from error


_NOTE = (
    "Accuracy, MACs: on the test part, of the network that is most accurate on the validation part; means "
    "over seeds, ± their standard deviation. Hypervolume: the share of the box between no cost, no error and "
    f"the worst network of all methods that a method's networks dominate. {CONVENTION}"
)


def _table(found: Comparison) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    headings = ["seeds", "acc.\n%", "exec.\nMACs M", "ADA_\nMACS M", "hyper-\nvolume", "single\nexits'"]
    headings += [f"% in\n{mega(budget)}M" for budget in found.budgets]
    table.add_column("method", vertical="bottom", overflow="fold")
    for heading in (*headings, "evalu-\nated", "sec-\nonds"):
        table.add_column(heading, justify="right", vertical="bottom")
    for each in found.summary():
        table.add_row(*_cells(each, found.budgets))
    return table


def _cells(each: Mapping[str, Any], budgets: Sequence[float]) -> list[str]:
    spread = each["spread"]

    def told(key: str, scale: float, digits: int) -> str:
        return _with_spread(each[key], spread[key], scale, digits)

    within = [_with_spread(each["within"][b], spread["within"][b], 100, 1) for b in budgets]
    return [
        each["method"],
        str(len(each["seeds"])),
        told("accuracy", 100, 1),
        told("executed_macs", 1e-6, 3),
        told("ada_macs", 1e-6, 3),
        told("hypervolume", 1, 3),
        told("single_exit_hypervolume", 1, 3),
        *within,
        told("evaluations", 1, 0),
        told("seconds", 1, 0),
    ]


def _with_spread(mean: float | None, deviation: float | None, scale: float, digits: int) -> str:
    if mean is None:
        return NONE
    text = f"{scale * mean:.{digits}f}"
    return text if deviation is None else f"{text}±{scale * deviation:.{digits}f}"
