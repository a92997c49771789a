"""`edanas tabulate`: a table of the exit profiles of many backbones, for searches without training."""

from pathlib import Path
from typing import Annotated

import typer

from edanas.cli.flags import SUPERNET_FIELDS, with_run_options
from edanas.cli.shared_options import JsonInsteadOfText
from edanas.run.options import RunOptions


@with_run_options(SUPERNET_FIELDS)
def tabulate(
    *,
    out: Annotated[
        Path,
        typer.Option(help="Table file to write. Run the same command again to resume an interrupted table."),
    ],
    backbones: Annotated[
        int,
        typer.Option(
            help="Largest number of backbones in the table; a smaller search space is tabulated as a whole."
        ),
    ],
    run: Annotated[
        Path | None,
        typer.Option(
            help="Run folder whose settings and trained supernet the table uses. Default: the "
            "supernet is trained."
        ),
    ] = None,
    held_out: Annotated[
        str,
        typer.Option(
            help="Part of the data, besides the validation part, whose exit profiles are "
            "stored, to judge the results of searches: `calibration` or `test`."
        ),
    ] = "calibration",
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Discard the existing table, and build it again; a trained supernet with the "
            "same settings is reused.",
        ),
    ] = False,
    options: RunOptions,
    as_json: JsonInsteadOfText = False,
) -> None:
    """Write a table with the exit profiles of many backbones of a supernet, for searches without training."""
    import json

    from edanas.core.visible import visible
    from edanas.plugins.manager import load_plugins
    from edanas.plugins.registry import Registry
    from edanas.run.console import ConsoleProgress
    from edanas.tables.builder import settings_for
    from edanas.tables.builder import tabulate as build_table
    from edanas.tables.estimate_quality import leave_out
    from edanas.tables.summary import summary_dict, summary_text
    from edanas.tables.table_request import TableRequest

    progress = ConsoleProgress()
    registry = Registry(load_plugins(progress.say))
    settings = settings_for(registry, options.layers(), run, progress)
    request = TableRequest(settings, out, backbones, run, held_out)
    table = build_table(registry, request, progress, overwrite=overwrite)
    quality = None if table.description.exhaustive else leave_out(table)
    if as_json:
        typer.echo(json.dumps(summary_dict(table, quality), indent=2))
    else:
        typer.echo(visible(summary_text(table, quality), lines=True))
