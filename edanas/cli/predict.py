"""`edanas predict MODEL IMAGES`: class, exit and confidence of each image."""

import csv
import io
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edanas.api import load
from edanas.cli.progress import ConsoleProgress
from edanas.cli.targets import check_file
from edanas.core.costs import Costs, backbone_macs, executed_macs
from edanas.core.errors import ConfigError, DataError, near_miss
from edanas.core.machine import computing, usable_cores
from edanas.core.runfolder import replace_file
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.model.prediction import Answer, budget_holder, stream
from edanas.thresholds.budgets import format_quantity
from edanas.thresholds.stream_budget import BudgetHolder

FORMATS = ("csv", "json", "table")
COLUMNS = ("image", "class", "exit", "confidence")

_NAMED = 5
"""How many of the skipped images are named."""


def predict(
    model: Annotated[Path, typer.Argument(help="A network's .safetensors or .json file.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, and folders of them, however deep.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Write to this .csv or .json file. [default: the terminal]")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="`csv`, `json` or `table`. [default: by --out's ending]")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="How many images are computed at once.")] = 256,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda` or `cuda:N`.")] = "auto",
    compact: Annotated[
        str, typer.Option(help="Move those who stay together after each exit: `auto`, `always` or `never`.")
    ] = "auto",
    freeze: Annotated[
        bool, typer.Option("--freeze/--no-freeze", help="Fold and simplify layers first: faster.")
    ] = True,
    hold_macs: Annotated[
        str | None,
        typer.Option(
            help="Move thresholds as images come, so that an image takes so many MACs on average, e.g. 5M; "
            "`none` = leave them. [default: what the network says]"
        ),
    ] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Pass over images that cannot be read.")
    ] = False,
) -> None:
    """Classify images: the class, the exit where each one left (from 1, or last), and its confidence."""
    chosen = _format(form, out)
    progress = ConsoleProgress()
    skipped: list[DataError] = []
    with computing(min(torch.get_num_threads(), usable_cores())):
        network = load(model, device)
        costs = Anatomy.of(network, len(network.mean)).costs
        holder = _holder(network, hold_macs)
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
    held = None if holder is None else holder.budget
    summary = _summary(network, costs, answers, len(skipped), seconds, held)
    _write(_text(chosen, [_row(network, answer) for answer in answers], summary), out)
    for error in skipped[:_NAMED]:
        progress.say(f"Skipped: {error}")
    progress.say(summary.line())


@dataclass(frozen=True)
class Summary:
    """What is said of all images together.

    Args:
        images: How many were classified.
        skipped: How many could not be read.
        exits: How many left at each placed exit and the last, by its name.
        executed_macs: Multiply-adds that ran for an image on average.
        held_macs: The budget that thresholds were moved for; `None` where they stayed.
        backbone_macs: Multiply-adds of the backbone with its last exit alone.
        images_per_second: Reading included.
    """

    images: int
    skipped: int
    exits: dict[str, int]
    executed_macs: float | None
    held_macs: float | None
    backbone_macs: int
    images_per_second: float | None

    def line(self) -> str:
        """For people."""
        said = [f"{self.images:,} images" if self.images != 1 else "1 image"]
        if self.executed_macs is not None and self.images_per_second is not None:
            left = ", ".join(f"{name} {count / self.images:.1%}" for name, count in self.exits.items())
            cost = f"{_macs(self.executed_macs)} of {_macs(self.backbone_macs)} executed on average"
            if self.held_macs is not None:
                cost += f", for a budget of {_macs(self.held_macs)}"
            said += [f"left at exit {left}", cost, f"{self.images_per_second:,.0f} images/s with reading"]
        if self.skipped:
            said.append(f"{self.skipped:,} unreadable and skipped")
        return "; ".join(said)


def _macs(value: float) -> str:
    return format_quantity("max_macs", value)


def _holder(network: EENN, hold_macs: str | None) -> BudgetHolder | None:
    try:
        return budget_holder(network, hold_macs)
    except ConfigError as error:
        raise ConfigError(str(error).replace("hold_macs", "--hold-macs", 1)) from error


def _summary(
    network: EENN,
    costs: Costs,
    answers: Sequence[Answer],
    skipped: int,
    seconds: float,
    held: float | None,
) -> Summary:
    counts = Counter(answer.exit for answer in answers)
    exits = [*network.scheme.placed, network.exit_points]
    shares = [counts[at] / max(len(answers), 1) for at in range(network.exit_points + 1)]
    return Summary(
        images=len(answers),
        skipped=skipped,
        exits={_exit_name(network, at): counts[at] for at in exits},
        executed_macs=executed_macs(costs, network.scheme, shares) if answers else None,
        held_macs=held,
        backbone_macs=backbone_macs(costs),
        images_per_second=len(answers) / seconds if answers else None,
    )


def _format(form: str | None, out: Path | None) -> str:
    """How to write, by `--format` or the file's ending; refuses before anything is computed."""
    if form is not None and form not in FORMATS:
        raise ConfigError(f"--format: found '{form}'.{near_miss(form, FORMATS)}")
    if out is None:
        return form or "table"
    check_file("--out", out)
    ending = out.suffix.lower().removeprefix(".")
    if form is None and ending not in FORMATS[:2]:
        raise ConfigError(f"--out: '{out.name}' ends neither in .csv nor in .json; or say --format")
    return form or ending


def _exit_name(network: EENN, exit_: int) -> str:
    return "last" if exit_ == network.exit_points else str(exit_ + 1)


def _row(network: EENN, answer: Answer) -> dict[str, Any]:
    exit_ = _exit_name(network, answer.exit)
    values = (answer.name, answer.class_name, exit_, round(answer.confidence, 6))
    return dict(zip(COLUMNS, values, strict=True))


def _text(form: str, rows: Sequence[dict[str, Any]], summary: Summary) -> str | Table:
    if form == "json":
        return json.dumps({"images": rows, "summary": vars(summary)}, indent=2) + "\n"
    if form == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
    table = Table(*(name.capitalize() for name in COLUMNS), box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(row[name]) for name in COLUMNS[:3]), f"{row['confidence']:.4f}")
    return table


def _write(text: str | Table, out: Path | None) -> None:
    if out is not None:
        if isinstance(text, Table):
            buffer = io.StringIO()
            Console(file=buffer, width=_width(text)).print(text)
            text = buffer.getvalue()
        replace_file(out, text.encode())
    elif isinstance(text, Table):
        (Console() if sys.stdout.isatty() else Console(width=_width(text))).print(text)
    else:
        sys.stdout.write(text)


def _width(table: Table) -> int:
    """As wide as it needs, where there is no terminal to ask."""
    return max(Console(width=10_000).measure(table).maximum, 1)
