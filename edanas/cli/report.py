"""`edanas report RUN`: the table of a finished run, and its plot and page written anew."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edanas.report.result import Result
from edanas.report.tables import fronts_table
from edanas.report.writing import write_report


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
    write_report(run, result.data)
    console = Console()
    console.print(fronts_table(result))
    console.print(f"Plot:   {run / 'pareto.svg'}\nReport: {run / 'report.html'}", soft_wrap=True)
