"""Formatting of numbers, thresholds and backbones as text, for tables, plots and pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from edanas.core.result_row import ResultRow

CONVENTION = (
    "MACs are multiply-adds of convolutions and linear layers for one sample; M = million. "
    "Executed MACs = ADA_MACS (Eq. 5 of the paper) plus the heads that ran and were not confident enough."
)
"""Definition of the units of MACs, for the notes of tables."""

NONE = "–"
"""Text of a missing value."""


def percent(fraction: float | None, digits: int = 1) -> str:
    """Return a fraction in percent, without the percent sign; a dash for `None`.

    Args:
        fraction: The fraction; 1 = 100%.
        digits: Number of decimal places, by default 1.

    Example:
        >>> percent(0.9725), percent(0.5, 0)
        ('97.2', '50')
    """
    return NONE if fraction is None else f"{100 * fraction:.{digits}f}"


def mega(macs: float) -> str:
    """Return multiply-adds in millions, rounded to about three significant digits.

    Example:
        >>> mega(950_000), mega(2_380_000), mega(595e6)
        ('0.950', '2.38', '595')
    """
    value = macs / 1e6
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def thresholds_text(thresholds: Sequence[float | None]) -> str:
    """Return the thresholds of all exit points in columns of equal width, with a dash for no exit.

    Example:
        >>> thresholds_text([0.5, None])
        '.50   –'
    """
    cells = (NONE if value is None else f"{value:.2f}".lstrip("0") for value in thresholds)
    return " ".join(cell.rjust(3) for cell in cells)


def exit_thresholds(row: ResultRow) -> tuple[float | None, ...]:
    """Return the threshold at each exit point that the network has; a cut network has fewer than others."""
    return row.thresholds[: row.stages - 1]


def utilization_text(row: ResultRow) -> str:
    """Return the utilization of each exit point and of the last exit in percent, with a dash for no exit.

    A cut network has no exit points behind its last exit.
    """
    thresholds = exit_thresholds(row)
    placed = [*(value is not None for value in thresholds), True]
    shares = [*row.utilization[: len(thresholds)], row.utilization[-1]]
    cells = (
        percent(value, 0) if is_placed or value else NONE
        for value, is_placed in zip(shares, placed, strict=True)
    )
    return " ".join(cell.rjust(2) for cell in cells)


def exits_text(count: int) -> str:
    """Return a number of early exits in words.

    Example:
        >>> exits_text(0), exits_text(1), exits_text(2)
        ('no early exit', '1 early exit', '2 early exits')
    """
    return "no early exit" if count == 0 else "1 early exit" if count == 1 else f"{count} early exits"


def scheme_text(exits: int, thresholds: Sequence[float | None]) -> str:
    """Return the number of early exits and their thresholds as text.

    Args:
        exits: Number of early exits.
        thresholds: The threshold of each exit point; `None` = no exit.

    Example:
        >>> scheme_text(1, [0.5, None])
        '1 early exit, thresholds .50 –'
    """
    if not exits:
        return "no early exit"
    return f"{exits_text(exits)}, thresholds {' '.join(thresholds_text(thresholds).split())}"


def backbone_text(choices: Mapping[str, Any]) -> str:
    """Return the choices of a backbone in one line.

    The choices are grouped by kind, the last part of their name, and within a kind by stage. The kind of
    `stage2.layer1.kernel` is `kernel`.

    Args:
        choices: Name of a variable -> chosen value.

    Example:
        >>> backbone_text({"resolution": 16, "stage1.layer1.kernel": 3, "stage1.layer2.kernel": 5})
        'resolution 16, kernel 35'
    """
    kinds: dict[str, dict[str, list[str]]] = {}
    for name, value in choices.items():
        stage, _, kind = name.rpartition(".")
        kinds.setdefault(kind, {}).setdefault(stage.partition(".")[0], []).append(str(value))
    return ", ".join(
        f"{kind.replace('_', ' ')} {' '.join(map(_group_text, stages.values()))}"
        for kind, stages in kinds.items()
    )


def _group_text(values: Sequence[str]) -> str:
    """Join the values of one stage, with a hyphen if a value has several characters."""
    return ("" if all(len(value) == 1 for value in values) else "-").join(values)
