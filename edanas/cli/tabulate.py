"""`edanas tabulate`: exit profiles of many backbones in one file, for searches without training."""

from pathlib import Path
from typing import Annotated

import typer

from edanas.cli.flags import SUPERNET_FIELDS, with_run_options
from edanas.run.options import RunOptions


@with_run_options(SUPERNET_FIELDS)
def tabulate(
    *,
    out: Annotated[
        Path, typer.Option(help="The file of the table. The same command again resumes the building.")
    ],
    backbones: Annotated[
        int, typer.Option(help="The largest number of backbones; all of them in a smaller search space.")
    ],
    run: Annotated[
        Path | None,
        typer.Option(help="The folder of a run, whose settings and trained supernet are used."),
    ] = None,
    held_out: Annotated[
        str, typer.Option(help="The part for judging the results of a search: `calibration` or `test`.")
    ] = "calibration",
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Build anew; only a supernet with the same settings is reused."),
    ] = False,
    options: RunOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Evaluate many backbones of a trained supernet once, for searches that train nothing."""
    import json

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
        typer.echo(summary_text(table, quality))
