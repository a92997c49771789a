"""`edanas train-supernet`: the weights that runs begin with, trained in any number of calls."""

from pathlib import Path
from typing import Annotated

import typer

from edanas.cli.flags import SUPERNET_FIELDS, with_run_options
from edanas.run.options import RunOptions


@with_run_options(SUPERNET_FIELDS)
def train_supernet(
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="The file of the weights (safetensors). The same command again resumes the training."
        ),
    ],
    time_limit: Annotated[
        float | None,
        typer.Option(help="Stop after this many seconds, in good order; the same command resumes."),
    ] = None,
    total_time: Annotated[
        float | None,
        typer.Option(help="Seconds of training in all calls together; the schedule is fitted to it."),
    ] = None,
    full_precision: Annotated[
        bool, typer.Option("--full-precision", help="Store float32, twice as large as float16.")
    ] = False,
    options: RunOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Train a supernet with all its exits; `edanas run --weights FILE` begins with it."""
    import math

    from edanas.cli.views.train_supernet import show_training
    from edanas.plugins.manager import load_plugins
    from edanas.plugins.registry import Registry
    from edanas.run.console import ConsoleProgress
    from edanas.run.layers import layered_settings
    from edanas.run.pretraining import Order
    from edanas.run.pretraining import train_supernet as train

    progress = ConsoleProgress()
    registry = Registry(load_plugins(progress.say))
    settings = layered_settings(registry, options.layers(), progress.say)
    limit = math.inf if time_limit is None else time_limit
    order = Order(settings, out, limit, total_time, half=not full_precision)
    state = train(registry, order, progress)
    show_training(state, limit, as_json=as_json)
