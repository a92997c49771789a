"""How numbers are written, in tables, plots and pages alike."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]
"""One network of a result; the keys are listed at `edanas.report.result.Result`."""

CONVENTION = (
    "MACs in M, a million multiply-adds of convolutions and linear layers, for one image; "
    "executed MACs = ADA_MACS (Eq. 5 of the paper) plus the heads that ran and were not confident enough."
)

NONE = "–"


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction as a number of percent, without the sign."""
    return NONE if fraction is None else f"{100 * fraction:.{digits}f}"


def mega(macs: float) -> str:
    """Multiply-adds in millions, to about three figures."""
    value = macs / 1e6
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def thresholds(row: Row) -> str:
    """The selection scheme, an exit point after another."""
    written = (NONE if value is None else f"{value:.2f}".lstrip("0") for value in row["thresholds"])
    return " ".join(each.rjust(3) for each in written)


def shares(row: Row) -> str:
    """The utilization of each exit point and of the last exit, in %."""
    values, placed = row["utilization"], [value is not None for value in row["thresholds"]]
    written = (
        percent(value, 0) if stands or value else NONE
        for value, stands in zip(values, [*placed, True], strict=True)
    )
    return " ".join(each.rjust(2) for each in written)


def relative_cost(row: Row) -> float:
    """Executed MACs as a fraction of the network's own backbone's MACs."""
    return float(row["executed_macs"] / row["backbone_macs"])


def validation_macs(row: Row) -> float:
    """Executed MACs of the validation part, to choose by; those of the test part have no say in a choice."""
    key = "validation_executed_macs"
    return float(row[key if key in row else "executed_macs"])


def promising(rows: Sequence[Row]) -> list[Row]:
    """The networks whose thresholds were set on the calibration part, with what they reached there."""
    keys = ("calibration_accuracy", "calibration_executed_macs", "validation_executed_macs")
    return [row for row in rows if all(row.get(key) is not None for key in keys)]


def rival(row: Row, singles: Sequence[Row]) -> Row | None:
    """The single-exit network to set beside `row`: the best of those that cost no more, by validation."""
    affordable = [each for each in singles if validation_macs(each) <= validation_macs(row)]
    return max(affordable, key=lambda each: float(each["validation_accuracy"]), default=None)


def in_words(count: int) -> str:
    """A number of early exits in words."""
    return "no early exit" if count == 0 else "1 early exit" if count == 1 else f"{count} early exits"


def headline(front: Sequence[Row]) -> Mapping[str, Row]:
    """Rows worth a sentence, chosen on the validation part; empty where `front` is."""
    if not front:
        return {}
    return {
        "accurate": max(front, key=lambda row: (row["validation_accuracy"], -validation_macs(row))),
        "cheap": min(
            front, key=lambda row: (validation_macs(row) / row["backbone_macs"], -row["validation_accuracy"])
        ),
    }


def backbone_words(choices: Mapping[str, Any]) -> str:
    """A backbone's choices in one line, whatever the provider calls them.

    Those of one kind, e.g. `stage2.layer1.kernel`, stand together, a group for each stage:
    `resolution 16, width 0.35, depth 2 3, kernel 35 7`.
    """
    kinds: dict[str, dict[str, list[str]]] = {}
    for name, value in choices.items():
        stage, _, kind = name.rpartition(".")
        kinds.setdefault(kind, {}).setdefault(stage.partition(".")[0], []).append(str(value))
    return ", ".join(
        f"{kind.replace('_', ' ')} {' '.join(map(_together, stages.values()))}"
        for kind, stages in kinds.items()
    )


def _together(values: Sequence[str]) -> str:
    return ("" if all(len(value) == 1 for value in values) else "-").join(values)
