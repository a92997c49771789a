"""`edanas report RUN`: the table of a finished run; its plot and report are written anew."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the content of result.json.")] = False,
) -> None:
    """Show a finished run, and write its plot and report anew."""
    import json

    from edanas.cli.views.report import show_result
    from edanas.report.result import Result
    from edanas.report.writing import write_views

    result = Result.read(run)
    if as_json:
        typer.echo(json.dumps(result.data, indent=2))
        return
    write_views(result)
    show_result(result)
