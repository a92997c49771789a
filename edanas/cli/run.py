"""`edanas run`: a search, the training of the best candidates, and the files of the run folder."""

import time
from pathlib import Path
from typing import Annotated

import typer

from edanas.cli.flags import with_run_options
from edanas.core.launched import place
from edanas.run.options import RunOptions


@with_run_options(first=("plugin", "data", "download"))
def run(
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder. Run the same command with the same --out to resume an interrupted run. "
            "Default: a new folder in `edanas-runs`."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Discard the run in the folder of --out, and begin a new one.")
    ] = False,
    options: RunOptions,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the settings, the size of the search space and the estimated cost of "
            "the run, and search nothing.",
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print a line for each candidate once it is recorded.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON instead of tables.")
    ] = False,
) -> None:
    """Search for early-exit networks, train the best candidates, and write a run folder."""
    started = time.monotonic()
    if not dry_run and place().rank == 0:
        typer.echo(_first_line(options), err=True)
    import json

    from edanas.api import run as run_search
    from edanas.cli.views.report import show_result
    from edanas.cli.views.run import show_estimate
    from edanas.core.progress import Silent
    from edanas.plugins.blame import blamed
    from edanas.plugins.manager import load_plugins
    from edanas.plugins.registry import Registry
    from edanas.run.announcement import announced_settings
    from edanas.run.console import ConsoleProgress
    from edanas.run.estimate import estimate
    from edanas.run.folder import RunFolder, new_folder

    progress = ConsoleProgress() if place().rank == 0 else Silent()
    registry = Registry(load_plugins(progress.say))
    settings = announced_settings(registry, options, progress.say)
    if dry_run:
        run_folder = RunFolder(out, settings) if out and not overwrite else None
        with blamed(registry):
            expected = estimate(registry, settings, run_folder)
        if as_json:
            typer.echo(json.dumps(expected, indent=2))
        else:
            show_estimate(expected, settings)
        return
    folder = new_folder(settings) if out is None else out
    result = run_search(
        registry, settings, folder, progress, overwrite=overwrite, verbose=verbose, started=started
    )
    if as_json:
        typer.echo(json.dumps(result.data, indent=2))
    else:
        show_result(result)


def _first_line(options: RunOptions) -> str:
    """Return the line that appears at once, before packages are loaded."""
    source = f" on the samples of {options.data}" if options.data else ""
    return (
        f"edanas run: trains a supernet{source}, searches it for early-exit networks, and trains and "
        "tests the best. Loading ..."
    )
