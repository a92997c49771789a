"""Table of the finished networks of a run, for terminals with 100 columns and for notebooks."""

from collections.abc import Sequence
from html import escape

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edanas.core.result_row import ResultRow
from edanas.report.choice import calibrated, dominated_note, dominating
from edanas.report.formatting import (
    CONVENTION,
    NONE,
    exit_thresholds,
    mega,
    percent,
    thresholds_text,
    utilization_text,
)
from edanas.report.memory import memory_note
from edanas.report.plain import NOTE, standing, verdict
from edanas.report.result import Result
from edanas.report.rivals import ALONE, backbone_accuracy_text, comparison_text

HEADINGS = (
    "early\nexits",
    "test\nacc. %",
    "ADA_\nMACS M",
    "exec.\nMACs M",
    "% of\nbackb.",
    "% of\nsingle",
    "backb.\nacc. %",
    "thresholds",
    "utilization %",
)
"""Headings of the table's columns; `\\n` separates lines."""

COLUMNS = (
    "% of backb. = executed MACs relative to the network's own backbone, which ends where the network ends; "
    "% of single = relative to the cheapest single-exit network, cut ones included, with at least the same "
    "validation accuracy, a dash if there is none."
)
"""Note that explains two columns."""

NO_EARLY_EXIT = (
    "No finished network has early exits: the search placed none, or they bring nothing over a single-exit "
    "network, cut ones included."
)
"""Note on a run without early-exit networks."""


def fronts_table(result: Result) -> RenderableType:
    """Return a table of the finished networks for a terminal.

    The first rows are the early-exit networks, then follow the single-exit and the plain networks. Thresholds
    and utilization have one entry for each exit point of the network, with a dash for no exit. The
    utilization has one more entry, for the last exit. Notes below the table explain the columns, and name
    networks that do not save multiply-adds.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if number >= 7 else "right", vertical="bottom")
    early, single = by_size(result)
    dominated = dominating(early)
    for row in early:
        table.add_row(*cells(row, is_dominated=row.id in dominated))
    table.add_section()
    for row in single:
        table.add_row(*cells(row))
    table.add_section()
    for line in plain_cells(result):
        table.add_row(*line)
    outcome = [Text(verdict(result.plain, (*early, *single)))] if result.plain else []
    return Group(table, "", *outcome, *(Text(note, style="dim") for note in _notes(result, early)))


def html_table(result: Result) -> str:
    """Return the table of `fronts_table` as an HTML fragment, without style sheet, script or other files."""
    early, single = by_size(result)
    head = "".join(f"<th>{_in_one_line(heading)}</th>" for heading in HEADINGS)
    dominated = dominating(early)
    rows = [cells(row, is_dominated=row.id in dominated) for row in (*early, *single)]
    rows += plain_cells(result)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    outcome = verdict(result.plain, (*early, *single))
    notes = "".join(f"<p>{escape(note)}</p>" for note in (outcome, *_notes(result, early)) if note)
    body = f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody>"
    return f"<p>{escape(repr(result))}</p><table>{body}</table>{notes}"


def by_size(result: Result) -> tuple[list[ResultRow], list[ResultRow]]:
    """Return the early-exit networks by rising number of exits, and single-exit networks by rising MACs."""
    early = sorted(result.early_exit, key=lambda row: row.exits)
    return early, sorted(result.single_exit, key=lambda row: row.executed_macs)


def cells(row: ResultRow, *, is_dominated: bool = False) -> tuple[str, ...]:
    """Return the cells of a network's line, one for each of `HEADINGS`; dominated networks have a `*`."""
    return (
        f"{row.exits}{'*' * is_dominated}",
        percent(row.test_accuracy),
        mega(row.ada_macs),
        mega(row.executed_macs),
        percent(row.relative_cost, 0),
        percent(row.rival_cost, 0) if row.is_cheaper or not row.exits else "no gain",
        backbone_accuracy_text(row),
        thresholds_text(exit_thresholds(row)),
        utilization_text(row),
    )


def plain_cells(result: Result) -> list[tuple[str, ...]]:
    """Return the cells of each plain network, with the MACs of the cheapest searched network as accurate.

    The MACs stand in the place of the thresholds, which plain networks do not have.
    """
    searched = (*result.early_exit, *result.single_exit)
    lines = []
    for row in result.plain:
        rival = standing(row, searched).rival if searched else None
        figures = cells(row)[1:7]
        lines.append(("plain", *figures, f"search: {mega(rival.macs_for_choice)}M" if rival else NONE, NONE))
    return lines


def _in_one_line(heading: str) -> str:
    return heading.replace("_\n", "_").replace("\n", " ")


def _notes(result: Result, early: Sequence[ResultRow]) -> list[str]:
    """Return the notes below the table: units, calibration, broken constraints."""
    samples = result.data.get("samples", {}).get("test")
    tested = f"Tested once, on {samples} samples. " if samples else ""
    note = f"{tested}Networks with 0 early exits are single-exit networks of the same search. {CONVENTION}"
    alone = ALONE if any(row.alone for row in early) else ""
    notes = (note, COLUMNS, alone, NOTE if result.plain else "", dominated_note(early), _no_gain_note(result))
    memory = memory_note(result, (*early, *result.single_exit))
    return [text for text in (*notes, memory, _calibration_note(early), _breaches_note(early)) if text]


def _no_gain_note(result: Result) -> str:
    """Return a note on the early-exit networks that do not save multiply-adds; empty if all of them do."""
    if not result.early_exit and result.single_exit:
        return NO_EARLY_EXIT
    rows = [row for row in result.early_exit if not row.is_cheaper]
    return " ".join(f"{row.id}: {comparison_text(row, result.single_exit)}" for row in rows)


def _breaches_note(rows: Sequence[ResultRow]) -> str:
    """Return a note on the constraints that finished networks break; empty if they keep all constraints."""
    lines = [f"{row.id}: {'; '.join(row.breaches)}" for row in rows if row.breaches]
    if not lines:
        return ""
    return f"Finished networks that break constraints on the validation part. {'. '.join(lines)}."


def _calibration_note(front: Sequence[ResultRow]) -> str:
    """Return a note that compares accuracy and cost on the calibration part with the validation part.

    The note is empty if no thresholds were set on the calibration part.
    """
    changes = [
        f"{percent(row.calibration_accuracy)} to {percent(row.validation_accuracy)}% "
        f"at {mega(row.calibration_executed_macs or 0)} to {mega(row.macs_for_choice)}M"
        for row in calibrated(front)
    ]
    if not changes:
        return ""
    return (
        "Thresholds were set on the calibration part. Accuracy and executed MACs, from the calibration part "
        f"to the validation part, line by line: {', '.join(changes)}."
    )
