"""`edanas run`: search, train what comes back, write it down."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edanas.api import run as run_search
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
from edanas.cli.report import show
from edanas.core.config import to_toml
from edanas.plugins.blame import blamed
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.estimate import estimate
from edanas.run.folder import fresh_folder
from edanas.run.layers import layered_settings, user_layers


def run(
    *,
    plugin: Plugin = None,
    data: Data = None,
    download: Download = False,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder. Running again on it resumes. [default: a new one]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Discard the run that --out holds.")] = False,
    seed: Seed = None,
    preset: Preset = None,
    device: Device = None,
    evaluation: Annotated[str | None, typer.Option(help="`shared` or `finetune`.")] = None,
    weights: Weights = None,
    warm_start: Annotated[
        Path | None, typer.Option(help="An older run's folder: its Pareto set is evaluated first.")
    ] = None,
    max_evals: Annotated[int | None, typer.Option(help="Stop after so many candidates.")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Stop the search after so many seconds.")] = None,
    assignments: Assignments = None,
    config: Config = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the settings, the space's size and the cost; do nothing.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="A line for each candidate, once it is recorded.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Search for early-exit networks, and train those that come back."""
    progress = ConsoleProgress()
    registry = Registry(load_plugins(progress.say))
    flags = {
        "plugin": plugin,
        "data": data,
        "seed": seed,
        "preset": preset,
        "device": device,
        "evaluation": evaluation,
        "weights": weights,
        "warm_start": None if warm_start is None else str(warm_start),
        "search.max_evals": max_evals,
        "search.time_limit": time_limit,
        "data.download": True if download else None,
    }
    settings = layered_settings(registry, user_layers(flags, assignments or (), config), progress.say)
    if dry_run:
        with blamed(registry):
            expected = estimate(registry, settings)
        if as_json:
            typer.echo(json.dumps(expected, indent=2))
            return
        typer.echo(to_toml(settings))
        typer.echo("\n".join(f"{name}: {value}" for name, value in _readable(expected).items()))
        return
    folder = fresh_folder(settings) if out is None else out
    result = run_search(registry, settings, folder, progress, overwrite=overwrite, verbose=verbose)
    if as_json:
        typer.echo(json.dumps(result.data, indent=2))
        return
    show(result)


def _readable(expected: dict[str, Any]) -> dict[str, str]:
    """The estimate for people: MACs in M (1e6) or more, seconds as a clock."""
    shown = {}
    for name, value in expected.items():
        if name == "settings" or (name == "unknown" and value is None):
            continue
        if value is None:
            shown[name.replace("_", " ")] = "unknown until the data is there"
        elif "macs" in name:
            shown[name.replace("_", " ")] = f"{value / 1e6:,.2f}M"
        elif "seconds" in name:
            shown[name.replace("_", " ")] = f"about {value:.0f} s"
        else:
            shown[name.replace("_", " ")] = f"{value:,}" if isinstance(value, int) else str(value)
    return shown
