"""`edanas predict MODEL FILES`: class, exit and confidence of each sample."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edanas.cli.shared_options import Device, Model, SkipUnreadable

if TYPE_CHECKING:
    from edanas.core.progress import Progress
    from edanas.model.eenn import EENN
    from edanas.thresholds.stream_budget import BudgetHolder

FORMATS = ("csv", "json", "table")
"""The output formats of `edanas predict`."""

_NAMED = 5
"""The largest number of skipped files for which an error is printed."""


def predict(
    model: Model,
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Files of images, sound or series (.npy, .npz), and folders that are read at any depth."
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write the predictions to, .csv or .json. Default: print them."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Output format: `csv`, `json` or `table`. Default: the ending of --out, or "
            "`table` without --out.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Batch size in samples.")] = 256,
    device: Device = "auto",
    compact: Annotated[
        str,
        typer.Option(
            help="Gather the samples that have not exited into a smaller batch after "
            "each exit: `always`, `never`, or `auto`, where it is faster."
        ),
    ] = "auto",
    freeze: Annotated[
        bool,
        typer.Option(
            "--freeze/--no-freeze",
            help="Fold and simplify the layers of the network before predicting, which makes it faster.",
        ),
    ] = True,
    hold_macs: Annotated[
        str | None,
        typer.Option(
            help="Budget for the average cost of a sample in MACs, e.g. 5M: thresholds move "
            "during the stream to hold it. `none` keeps the thresholds. Default: the "
            "budget in the network's description, if there is one."
        ),
    ] = None,
    skip_unreadable: SkipUnreadable = False,
) -> None:
    """Classify samples: print the class, the exit (from 1, or `last`) and the confidence of each sample."""
    import time

    import torch

    from edanas.api import load
    from edanas.cli.views.predict import summarise, write_predictions
    from edanas.core.errors import DataError
    from edanas.core.machine import computing, usable_cores
    from edanas.model.anatomy import Anatomy
    from edanas.model.prediction import stream
    from edanas.run.console import ConsoleProgress

    output_format = _output_format(form, out)
    progress = ConsoleProgress()
    skipped: list[DataError] = []
    with computing(min(torch.get_num_threads(), usable_cores())):
        network = load(model, device)
        costs = Anatomy.of(network, len(network.mean)).costs
        holder = _budget_holder(network, hold_macs, progress)
        ready = network.freeze() if freeze else network
        start = time.monotonic()
        answers = list(
            stream(
                ready,
                images,
                batch_size=batch_size,
                compact=compact,
                progress=progress,
                on_unreadable=skipped.append if skip_unreadable else None,
                hold_macs="none" if holder is None else holder,
            )
        )
        seconds = time.monotonic() - start
    budget = None if holder is None else holder.budget
    summary = summarise(network, costs, answers, len(skipped), seconds, budget)
    write_predictions(output_format, network, answers, summary, out)
    for error in skipped[:_NAMED]:
        progress.say(f"Skipped: {error}")
    progress.say(summary.line())


def _budget_holder(network: EENN, hold_macs: str | None, progress: Progress) -> BudgetHolder | None:
    from edanas.core.errors import ConfigError
    from edanas.model.prediction import budget_holder

    try:
        return budget_holder(network, hold_macs, progress)
    except ConfigError as error:
        raise ConfigError(str(error).replace("hold_macs", "--hold-macs", 1)) from error


def _output_format(form: str | None, out: Path | None) -> str:
    """Return the output format: `form`, otherwise the ending of `out`, otherwise `table`.

    Raises:
        ConfigError: `form` is unknown, or it is `None` and `out` ends neither in .csv nor in .json.
        RunError: The file `out` cannot be written.
    """
    from edanas.cli.targets import check_file
    from edanas.core.errors import ConfigError, near_miss

    if form is not None and form not in FORMATS:
        raise ConfigError(f"--format: found '{form}'.{near_miss(form, FORMATS)}")
    if out is None:
        return form or "table"
    check_file("--out", out)
    ending = out.suffix.lower().removeprefix(".")
    if form is None and ending not in FORMATS[:2]:
        raise ConfigError(
            f"--out: '{out.name}' ends neither in .csv nor in .json; rename it, or set --format"
        )
    return form or ending
