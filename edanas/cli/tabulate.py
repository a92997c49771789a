"""`edanas tabulate`: exit profiles of many backbones in one file, to search on without training."""

import json
from pathlib import Path
from typing import Annotated

import typer

from edanas.cli.flags import (
    Assignments,
    Config,
    Data,
    Device,
    Download,
    Plugin,
    Preset,
    Seed,
    Weights,
)
from edanas.cli.progress import ConsoleProgress
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.layers import user_layers
from edanas.tables.builder import settings_for
from edanas.tables.builder import tabulate as build_table
from edanas.tables.estimate_quality import leave_out
from edanas.tables.file_format import HELD_OUT
from edanas.tables.summary import summary_dict, summary_text
from edanas.tables.table_request import TableRequest


def tabulate(
    *,
    out: Annotated[Path, typer.Option(help="The table's file. The same command again goes on.")],
    backbones: Annotated[int, typer.Option(help="How many at most; all, where the space has no more.")],
    run: Annotated[
        Path | None, typer.Option(help="A run's folder, whose settings and trained supernet are taken.")
    ] = None,
    held_out: Annotated[
        str, typer.Option(help="The part to judge what a search found on: `calibration` or `test`.")
    ] = HELD_OUT[0],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Build anew; only a supernet of the same settings is kept.")
    ] = False,
    plugin: Plugin = None,
    data: Data = None,
    download: Download = False,
    seed: Seed = None,
    preset: Preset = None,
    device: Device = None,
    weights: Weights = None,
    assignments: Assignments = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Evaluate many backbones of a trained supernet once, for searches that train nothing."""
    progress = ConsoleProgress()
    registry = Registry(load_plugins(progress.say))
    flags = {
        "plugin": plugin,
        "data": data,
        "seed": seed,
        "preset": preset,
        "device": device,
        "weights": weights,
        "data.download": True if download else None,
    }
    given = user_layers(flags, assignments or (), config)
    settings = settings_for(registry, given, run, progress)
    order = TableRequest(settings, out, backbones, run, held_out)
    table = build_table(registry, order, progress, overwrite=overwrite)
    quality = None if table.description.exhaustive else leave_out(table)
    if as_json:
        typer.echo(json.dumps(summary_dict(table, quality), indent=2))
        return
    typer.echo(summary_text(table, quality))
