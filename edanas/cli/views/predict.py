"""Output of `edanas predict`: predictions as CSV, JSON or a table, and a line that summarises them."""

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from edanas.cli.views.output import output_console
from edanas.core.costs import Costs, backbone_macs, executed_macs
from edanas.core.runfolder import replace_file
from edanas.core.visible import csv_cell, visible
from edanas.model.eenn import EENN
from edanas.model.prediction import Answer
from edanas.report.terminal import PlainConsole
from edanas.thresholds.budgets import format_quantity

_COLUMNS = ("sample", "class", "exit", "confidence")


@dataclass(frozen=True)
class Summary:
    """Counts, average cost and speed over all samples of a stream.

    Args:
        samples: The number of classified samples.
        skipped: The number of samples that could not be read.
        exits: The number of samples at each exit, by name: numbers from 1 for placed exits, then `last`.
        executed_macs: Executed MACs of a sample on average; `None` without samples.
        held_macs: The average cost in MACs that thresholds were adapted to; `None` for fixed thresholds.
        backbone_macs: Multiply-adds of a sample in the backbone with its last exit alone.
        samples_per_second: Samples per second, with the time of reading files; `None` without samples.
    """

    samples: int
    skipped: int
    exits: dict[str, int]
    executed_macs: float | None
    held_macs: float | None
    backbone_macs: int
    samples_per_second: float | None

    def line(self) -> str:
        """Return the summary as one line of text."""
        parts = [f"{self.samples:,} samples" if self.samples != 1 else "1 sample"]
        if self.executed_macs is not None and self.samples_per_second is not None:
            shares = ", ".join(f"{name} {count / self.samples:.1%}" for name, count in self.exits.items())
            cost = f"{_macs(self.executed_macs)} of {_macs(self.backbone_macs)} executed on average"
            if self.held_macs is not None:
                cost += f", for a budget of {_macs(self.held_macs)}"
            parts += [f"exits: {shares}", cost, f"{self.samples_per_second:,.0f} samples/s, reading included"]
        if self.skipped:
            parts.append(f"{self.skipped:,} unreadable and skipped")
        return "; ".join(parts)


def summarise(
    network: EENN,
    costs: Costs,
    answers: Sequence[Answer],
    skipped: int,
    seconds: float,
    held_macs: float | None,
) -> Summary:
    """Return the summary of a stream.

    Args:
        network: The network that classified the samples.
        costs: The costs of the network.
        answers: The predictions, one for each classified sample.
        skipped: The number of unreadable samples.
        seconds: The duration of the stream.
        held_macs: The average cost in MACs that thresholds were adapted to; `None` for fixed thresholds.
    """
    counts = Counter(answer.exit - 1 for answer in answers)
    exits = [*network.scheme.placed, network.exit_points]
    shares = [counts[index] / max(len(answers), 1) for index in range(network.exit_points + 1)]
    return Summary(
        samples=len(answers),
        skipped=skipped,
        exits={_exit_name(network, index): counts[index] for index in exits},
        executed_macs=executed_macs(costs, network.scheme, shares) if answers else None,
        held_macs=held_macs,
        backbone_macs=backbone_macs(costs),
        samples_per_second=len(answers) / seconds if answers else None,
    )


def write_predictions(
    output_format: str, network: EENN, answers: Sequence[Answer], summary: Summary, out: Path | None
) -> None:
    """Write one row for each sample to a file or to standard output.

    Args:
        output_format: `csv`, `json` or `table`.
        network: The network that classified the samples.
        answers: The predictions, one for each sample.
        summary: The summary of the stream, which only `json` contains.
        out: The file to write or replace; `None` for standard output.
    """
    rows = [_row(network, answer) for answer in answers]
    if output_format == "table":
        _write_table(_table(rows), out)
        return
    if output_format == "json":
        text = json.dumps({"samples": rows, "summary": vars(summary)}, indent=2) + "\n"
    else:
        text = _csv(rows)
    if out is None:
        sys.stdout.write(text)
    else:
        replace_file(out, text.encode())


def _macs(value: float) -> str:
    return format_quantity("max_macs", value)


def _exit_name(network: EENN, index: int) -> str:
    return "last" if index == network.exit_points else str(index + 1)


def _row(network: EENN, answer: Answer) -> dict[str, Any]:
    exit_name = _exit_name(network, answer.exit - 1)
    values = (answer.name, answer.class_name, exit_name, round(answer.confidence, 6))
    return dict(zip(_COLUMNS, values, strict=True))


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(*(name.capitalize() for name in _COLUMNS), box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(visible(row[name])) for name in _COLUMNS[:3]), f"{row['confidence']:.4f}")
    return table


def _write_table(table: Table, out: Path | None) -> None:
    width = max(PlainConsole(width=10_000).measure(table).maximum, 1)
    if out is None:
        output_console(width).print(table)
        return
    buffer = io.StringIO()
    PlainConsole(file=buffer, width=width).print(table)
    replace_file(out, buffer.getvalue().encode())
