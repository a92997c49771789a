"""`edanas train-teacher`: the training of a dense teacher of supernets, in any number of calls."""

from pathlib import Path
from typing import Annotated

import typer

from edanas.cli.flags import SUPERNET_FIELDS, with_run_options
from edanas.cli.shared_options import JsonInsteadOfText, TimeLimit
from edanas.run.options import RunOptions

_FIELDS = tuple(name for name in SUPERNET_FIELDS if name != "weights")


@with_run_options(_FIELDS)
def train_teacher(
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="File to write the teacher to; its name ends in .safetensors. Run the same command "
            "again to resume an interrupted training."
        ),
    ],
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the train part. Default: as many as make 500,000 samples, from 10 to 100."
        ),
    ] = None,
    channels: Annotated[
        str,
        typer.Option(
            help="Numbers of channels of the three pairs of convolutions. Default: 64,256,256, with 118M "
            "multiply-adds at 32 pixels."
        ),
    ] = "64,256,256",
    side: Annotated[
        int | None,
        typer.Option(help="Side of the images in pixels. Default: the images' own side, at most 32."),
    ] = None,
    time_limit: TimeLimit = None,
    total_time: Annotated[
        float | None,
        typer.Option(
            help="Time of the whole training in seconds, over all calls; the number of steps is "
            "fitted to it. Default: the number of --epochs."
        ),
    ] = None,
    options: RunOptions,
    as_json: JsonInsteadOfText = False,
) -> None:
    """Train a dense teacher, and keep its logits, for `--set teacher=FILE` of a supernet's training."""
    import math

    from edanas.cli.views.train_supernet import TEACHER_USE, show_training
    from edanas.plugins.manager import load_plugins
    from edanas.plugins.registry import Registry
    from edanas.run.console import ConsoleProgress
    from edanas.run.layers import layered_settings
    from edanas.run.teacher_training import TeacherOrder
    from edanas.run.teacher_training import train_teacher as train

    progress = ConsoleProgress()
    registry = Registry(load_plugins(progress.say))
    settings = layered_settings(registry, options.layers(), progress.say)
    limit = math.inf if time_limit is None else time_limit
    order = TeacherOrder(
        settings, out, limit, total_time, epochs=epochs, channels=_numbers(channels), side=side
    )
    show_training(train(registry, order, progress), limit, as_json=as_json, use=TEACHER_USE)


def _numbers(text: str) -> tuple[int, ...]:
    from edanas.core.errors import ConfigError

    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        raise ConfigError(
            f"--channels: found '{text}'; allowed: three whole numbers, e.g. 64,256,256"
        ) from None
