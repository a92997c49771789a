"""Comparison of the plain dense networks of a run with the networks of its search, on the validation part."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edanas.core.result_row import ResultRow
from edanas.report.choice import most_accurate
from edanas.report.formatting import mega, percent

NOTE = (
    "Plain networks are dense networks of 3x3 convolutions that are not searched. They are trained alone, on "
    "the train part and the calibration part. 'search' is the executed MACs of the cheapest network of the "
    "search that is as accurate on the validation part."
)
"""Explanation of the lines of plain networks, for the note below a table."""

LEGEND = "plain networks, which nobody searched (test)"
"""Explanation of the points of plain networks, for the legend of a plot."""

_PLOTTED = 1.5
"""Largest MACs of a plain network in a plot, relative to the largest MACs of a searched network."""


@dataclass(frozen=True)
class Standing:
    """A plain network beside the networks of the search.

    Accuracies and costs on the validation part decide. Of the networks of the search that are at least as
    accurate, the cheapest one is the rival.

    Args:
        row: The plain network.
        rival: The cheapest network of the search that is at least as accurate; `None` = none is as accurate.
        best: The most accurate network of the search.
        worst: The least accurate network of the search.

    Example:
        >>> def network(accuracy, macs):
        ...     return ResultRow(
        ...         id="a", exits=0, thresholds=(), utilization=(1.0,), test_accuracy=accuracy,
        ...         validation_accuracy=accuracy, ada_macs=macs, executed_macs=macs, backbone_macs=macs,
        ...         backbone_test_accuracy=accuracy, params=9,
        ...     )
        >>> searched = [network(0.98, 3e5), network(0.99, 4e5)]
        >>> standing(network(0.985, 1e5), searched).wins, standing(network(0.985, 5e5), searched).wins
        (True, False)
    """

    row: ResultRow
    rival: ResultRow | None
    best: ResultRow
    worst: ResultRow

    @property
    def wins(self) -> bool:
        """True if the plain network is cheaper than every network of the search that is as accurate.

        If none is as accurate, the plain network wins if it costs no more than the most accurate network of
        the search. A plain network that is less accurate than every network of the search does not win.
        """
        if self.rival is None:
            return self.row.macs_for_choice <= self.best.macs_for_choice
        return not self._below and self.row.macs_for_choice < self.rival.macs_for_choice

    @property
    def _below(self) -> bool:
        return self.row.validation_accuracy < self.worst.validation_accuracy

    def sentence(self) -> str:
        """Return the outcome in words, with the accuracies and costs of the compared networks."""
        row, rival, best = self.row, self.rival, self.best
        own = f"{percent(row.validation_accuracy)}% at {mega(row.macs_for_choice)}M"
        other = rival or best
        figures = f"{percent(other.validation_accuracy)}% at {mega(other.macs_for_choice)}M"
        tested = f"on the test part: {percent(row.test_accuracy)}% and {percent(other.test_accuracy)}%"
        if rival is not None and self._below:
            compared = f"it is less accurate than every network of the search; the cheapest one has {figures}"
        elif rival is not None:
            compared = f"the cheapest network of the search that is as accurate has {figures}"
        elif self.wins:
            compared = f"no network of the search is as accurate, and the most accurate one has {figures}"
        else:
            compared = f"it is more accurate than the best network of the search, {figures}, and costs more"
        verdict = "wins" if self.wins else "does not win"
        file = f" Its file: {row.model}." if self.wins and row.model else ""
        return f"The plain network {row.id} {verdict}: {own}; {compared} (validation part; {tested}).{file}"


def standing(row: ResultRow, searched: Sequence[ResultRow]) -> Standing:
    """Return a plain network beside one or more networks of the search."""
    accurate = [each for each in searched if each.validation_accuracy >= row.validation_accuracy]
    rival = min(accurate, key=lambda each: (each.macs_for_choice, -each.validation_accuracy), default=None)
    worst = min(searched, key=lambda each: each.validation_accuracy)
    return Standing(row, rival, most_accurate(searched), worst)


def verdict(rows: Sequence[ResultRow], searched: Sequence[ResultRow]) -> str:
    """Return a sentence for each plain network that wins, or for the most accurate one if none wins.

    Args:
        rows: The plain networks of a run.
        searched: The networks of the search, with and without early exits.

    Returns:
        The sentences; empty if there are no plain networks or no networks of the search.
    """
    if not rows or not searched:
        return ""
    standings = [standing(row, searched) for row in rows]
    winners = [each for each in standings if each.wins]
    return " ".join(each.sentence() for each in winners or [standing(most_accurate(rows), searched)])


def comparable(rows: Sequence[ResultRow], searched: Sequence[ResultRow]) -> list[ResultRow]:
    """Return the plain networks that a plot shows: those of at most 1.5 times the largest searched MACs.

    Dearer networks would press all other points of the plot together.

    Args:
        rows: The plain networks of a run.
        searched: The networks of the search.
    """
    limit = _PLOTTED * max((row.executed_macs for row in searched), default=math.inf)
    return [row for row in rows if row.executed_macs <= limit]


def plain_content(rows: Sequence[ResultRow], searched: Sequence[ResultRow]) -> list[dict[str, Any]]:
    """Return the plain networks for `result.json`: their rows, with the outcome of the comparison."""
    content = []
    for row in rows:
        values = row.to_json()
        if searched:
            place = standing(row, searched)
            values["as_accurate"] = place.rival.id if place.rival else None
            values["as_accurate_macs"] = place.rival.macs_for_choice if place.rival else None
            values["wins"] = place.wins
        content.append(values)
    return content
