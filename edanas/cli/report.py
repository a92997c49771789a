"""`edanas report RUN`: the table of a finished run, and its plot and page written anew."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edanas.report.result import Result
from edanas.report.tables import fronts_table
from edanas.report.writing import write_views

_LOG_WIDTH = 100
"""Columns where there is no terminal to ask."""


def report(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the content of result.json.")] = False,
) -> None:
    """Show a finished run, and write its plot and report anew."""
    result = Result.read(run)
    if as_json:
        typer.echo(json.dumps(result.data, indent=2))
        return
    write_views(result)
    show(result)


def show(result: Result) -> None:
    """Print the table of a run, and where its files are."""
    console = Console() if sys.stdout.isatty() else Console(width=_LOG_WIDTH)
    console.print(fronts_table(result))
    for name, path in (("Folder", ""), ("Plot", "pareto.svg"), ("Report", "report.html")):
        console.print(
            f"{name + ':':<7} {result.folder / path}", markup=False, highlight=False, soft_wrap=True
        )
