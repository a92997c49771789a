"""`edanas report RUN`: the table of a finished run, and its plot and report, written again."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    *,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print the content of result.json instead of the table, and write no files."
        ),
    ] = False,
) -> None:
    """Print the results of a finished run, and write its plot and report again."""
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
