"""`edanas predict MODEL IMAGES`: class, exit and confidence of each image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edanas.model.eenn import EENN
    from edanas.thresholds.stream_budget import BudgetHolder

FORMATS = ("csv", "json", "table")

_NAMED = 5
"""The largest number of skipped images that are named."""


def predict(
    model: Annotated[Path, typer.Argument(help="The .safetensors or .json file of a network.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, and folders of them, however deep.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Write to this .csv or .json file. [default: the terminal]")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="`csv`, `json` or `table`. [default: by the ending of --out]"),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images in a batch.")] = 256,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda` or `cuda:N`.")] = "auto",
    compact: Annotated[
        str,
        typer.Option(help="Move the remaining images together after each exit: `auto`, `always` or `never`."),
    ] = "auto",
    freeze: Annotated[
        bool, typer.Option("--freeze/--no-freeze", help="Fold and simplify layers first: faster.")
    ] = True,
    hold_macs: Annotated[
        str | None,
        typer.Option(
            help="Adapt thresholds during the stream so that an image takes this many MACs on average, "
            "e.g. 5M; `none` = keep them. [default: the network's own budget, if it has one]"
        ),
    ] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Skip images that cannot be read.")
    ] = False,
) -> None:
    """Classify images: the class, the exit of each image (from 1, or last), and its confidence."""
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
        holder = _budget_holder(network, hold_macs)
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


def _budget_holder(network: EENN, hold_macs: str | None) -> BudgetHolder | None:
    from edanas.core.errors import ConfigError
    from edanas.model.prediction import budget_holder

    try:
        return budget_holder(network, hold_macs)
    except ConfigError as error:
        raise ConfigError(str(error).replace("hold_macs", "--hold-macs", 1)) from error


def _output_format(form: str | None, out: Path | None) -> str:
    """Return the format that `--format` or the ending of the file names, after checking both."""
    from edanas.cli.targets import check_file
    from edanas.core.errors import ConfigError, near_miss

    if form is not None and form not in FORMATS:
        raise ConfigError(f"--format: found '{form}'.{near_miss(form, FORMATS)}")
    if out is None:
        return form or "table"
    check_file("--out", out)
    ending = out.suffix.lower().removeprefix(".")
    if form is None and ending not in FORMATS[:2]:
        raise ConfigError(f"--out: '{out.name}' ends neither in .csv nor in .json; or set --format")
    return form or ending
