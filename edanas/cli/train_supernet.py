"""`edanas train-supernet`: the weights that runs begin with, trained in pieces as long as one likes."""

import json
import math
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
from edanas.run.layers import layered_settings, user_layers
from edanas.run.pretraining import Order, Trained, plain
from edanas.run.pretraining import train_supernet as train


def train_supernet(
    *,
    out: Annotated[
        Path, typer.Option(help="The file of the weights (safetensors). The same command again goes on.")
    ],
    time_limit: Annotated[
        float | None, typer.Option(help="Stop in good order after so many seconds; to go on, call again.")
    ] = None,
    total_time: Annotated[
        float | None,
        typer.Option(help="Seconds of training in all calls together; the schedule is fitted to it."),
    ] = None,
    full_precision: Annotated[
        bool, typer.Option("--full-precision", help="Store float32, twice as large as float16.")
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
    """Train a supernet with all its exits; `edanas run --weights FILE` begins with it."""
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
    settings = layered_settings(registry, user_layers(flags, assignments or (), config), progress.say)
    limit = math.inf if time_limit is None else time_limit
    order = Order(settings, out, limit, total_time, half=not full_precision)
    done = train(registry, order, progress)
    typer.echo(json.dumps(plain(done), indent=2) if as_json else _in_words(done, limit))


def _in_words(done: Trained, limit: float) -> str:
    step, steps = done.steps
    lines = [f"Step {step} of {steps} ({done.epochs} epochs), {done.seconds:.0f} s of training so far"]
    if done.images_per_second:
        left = (steps - step) * done.seconds / max(step, 1)
        lines.append(
            f"{done.images_per_second:.1f} images/s through all backbones of a step; input takes "
            f"{done.input_share:.1%} of the time" + (f"; about {left:.0f} s left" if step < steps else "")
        )
    if done.finished:
        size = done.out.stat().st_size / 1e6
        lines.append(f"Written: {done.out} ({size:.1f} MB). A run begins with it by --weights {done.out}")
    elif done.images_per_second:
        lines.append("Not finished. To go on: the same command again")
    else:
        lines.append(f"No step fitted into {limit:g} s. To go on: the same command, and more --time-limit")
    return "\n".join(lines)
