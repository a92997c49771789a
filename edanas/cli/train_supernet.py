"""`edanas train-supernet`: the training of supernet weights, in any number of calls, for later runs."""

from pathlib import Path
from typing import Annotated

import typer

from edanas.cli.flags import SUPERNET_FIELDS, with_run_options
from edanas.cli.shared_options import JsonInsteadOfText, TimeLimit
from edanas.run.options import RunOptions


@with_run_options(SUPERNET_FIELDS)
def train_supernet(
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="File to write the weights to; its name ends in .safetensors. Run the same command "
            "again to resume an interrupted training."
        ),
    ],
    time_limit: TimeLimit = None,
    total_time: Annotated[
        float | None,
        typer.Option(
            help="Time of the whole training in seconds, over all calls; the number of steps is "
            "fitted to it. Default: the number of epochs in the setting `training.epochs`."
        ),
    ] = None,
    full_precision: Annotated[
        bool,
        typer.Option(
            "--full-precision",
            help="Store the weights as float32 instead of float16; the file is twice as large.",
        ),
    ] = False,
    options: RunOptions,
    as_json: JsonInsteadOfText = False,
) -> None:
    """Train a supernet with all its exits, and write its weights for `edanas run --weights FILE`."""
    import math

    from edanas.cli.views.train_supernet import show_training
    from edanas.core.launched import place
    from edanas.core.progress import Silent
    from edanas.plugins.manager import load_plugins
    from edanas.plugins.registry import Registry
    from edanas.run.console import ConsoleProgress
    from edanas.run.layers import layered_settings
    from edanas.run.pretraining import Order
    from edanas.run.pretraining import train_supernet as train

    progress = ConsoleProgress() if place().rank == 0 else Silent()
    registry = Registry(load_plugins(progress.say))
    settings = layered_settings(registry, options.layers(), progress.say)
    limit = math.inf if time_limit is None else time_limit
    order = Order(settings, out, limit, total_time, half=not full_precision)
    state = train(registry, order, progress)
    show_training(state, limit, as_json=as_json)
