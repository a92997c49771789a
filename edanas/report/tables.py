"""The table at the end of a run, for terminals of 100 columns."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edanas.report.result import Result
from edanas.report.words import CONVENTION, Row, mega, percent, promising, relative_cost, shares, thresholds

HEADINGS = (
    "early\nexits",
    "test\nacc. %",
    "ADA_\nMACS M",
    "exec.\nMACs M",
    "% of\nbackb.",
    "backb.\nacc. %",
    "backb.\nMACs M",
    "thresholds",
    "utilization %",
)


def fronts_table(result: Result) -> RenderableType:
    """A line for each early-exit network, then one for each single-exit network of the same search.

    Thresholds and utilization go by exit point, a dash where no exit stands; the last utilization is the last
    exit's.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if number >= 7 else "right", vertical="bottom")
    front = sorted(result.front, key=lambda row: int(row["exits"]))
    _add(table, front)
    table.add_section()
    _add(table, sorted(result.static_front, key=lambda row: float(row["executed_macs"])))
    tested = result.data.get("samples", {}).get("test")
    on = f"Tested once, on {tested} images. " if tested else ""
    note = f"{on}0 early exits: single-exit networks of the same search. {CONVENTION}"
    notes = (note, _promises(front), _breaches(front))
    return Group(table, "", *(Text(each, style="dim") for each in notes if each))


def _breaches(rows: Sequence[Row]) -> str:
    """Which finished networks break a constraint that their candidates kept, on the validation part."""
    told = [f"{row['id']}: {'; '.join(row['breaches'])}" for row in rows if row.get("breaches")]
    return f"Constraints that are broken after finishing, on the validation part. {'. '.join(told)}." * bool(
        told
    )


def _promises(front: Sequence[Row]) -> str:
    """What thresholds reached where they were set, and elsewhere."""
    told = [
        f"{percent(row['calibration_accuracy'])} to {percent(row['validation_accuracy'])}% "
        f"at {mega(row['calibration_executed_macs'])} to {mega(row['validation_executed_macs'])}M"
        for row in promising(front)
    ]
    if not told:
        return ""
    return (
        "Thresholds were set on the calibration part. From what they reach there to what they keep on the "
        f"validation part, line by line: {', '.join(told)}."
    )


def _add(table: Table, rows: Sequence[Row]) -> None:
    for row in rows:
        table.add_row(
            str(row["exits"]),
            percent(row["test_accuracy"]),
            mega(row["ada_macs"]),
            mega(row["executed_macs"]),
            percent(relative_cost(row), 0),
            percent(row["backbone_test_accuracy"]),
            mega(row["backbone_macs"]),
            thresholds(row),
            shares(row),
        )
