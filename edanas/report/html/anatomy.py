"""How an early-exit network looks: its stages from left to right, and where samples flow and leave.

The band is as thick as the share of samples that are still in the network; at each exit the part that leaves
turns downwards. Columns are equally wide, so that what is written below them has room.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edanas.report.html.markup import text
from edanas.report.words import NONE, Row, in_words, mega, percent

COLUMN, EDGE, MARGIN = 132, 8, 30
"""Units: of a stage with its exit, left of all columns, and right of them, for the last label."""
BAND, CEILING = 58, 46
"""Thickness of the whole band in units, and where it begins."""
FOOT, HEIGHT = 168, 244
SMALLEST = 1.5
"""Units; so thin is what carries any samples at all."""


@dataclass(frozen=True)
class Exit:
    """One exit of a network, as a report tells of it.

    Args:
        number: From 0; the last exit's is the number of exit points.
        name: `exit 2`, or `last exit`.
        threshold: `None` for the last exit.
        share: Fraction of test images that leave here.
        accuracy: Of these; `None` where nobody leaves, or it was not kept.
        macs: What leaving here costs, all heads on the way included; `None` where it was not kept.
    """

    number: int
    name: str
    threshold: float | None
    share: float
    accuracy: float | None
    macs: float | None

    @property
    def kind(self) -> str:
        """A class of the style sheet, for its colour."""
        return "last" if self.threshold is None else f"e{self.number % 4}"


def exits_of(row: Row) -> list[Exit]:
    """The exits that stand in a network, the last one included."""
    last = len(row["thresholds"])
    accuracies = row.get("exit_accuracy") or [None] * (last + 1)
    found = []
    for number, threshold in enumerate([*row["thresholds"], None]):
        if threshold is None and number < last:
            continue
        name = "last exit" if number == last else f"exit {number + 1}"
        share, accuracy = float(row["utilization"][number]), accuracies[number]
        found.append(Exit(number, name, threshold, share, accuracy, _cost(row, number)))
    return found


def _cost(row: Row, number: int) -> float | None:
    """Multiply-adds of a sample that leaves at that exit: stages and heads up to there."""
    stages, heads = row.get("stage_macs"), row.get("head_macs")
    if not stages or heads is None:
        return None
    placed = [at for at, threshold in enumerate(row["thresholds"]) if threshold is not None and at <= number]
    own = float(row.get("last_macs") or 0) if number == len(heads) else 0.0
    return float(sum(stages[: number + 1]) + sum(heads[at] or 0 for at in placed) + own)


def drawing(row: Row) -> str:
    """The network as an `<svg>` element."""
    exits = exits_of(row)
    count = len(row["thresholds"]) + 1
    width = EDGE + COLUMN * count + MARGIN
    stages = row.get("stage_macs") or [None] * count
    at_exit = {each.number: each for each in exits}
    parts, inside = [], 1.0
    for number, macs in enumerate(stages):
        left = EDGE + COLUMN * number
        parts += _stage(left, number, macs, _thick(inside))
        found = at_exit.get(number)
        if found is None:
            parts.append(_band(left + 74, left + COLUMN, _thick(inside), "flow"))
            continue
        leaving, inside = found.share, max(0.0, inside - found.share)
        staying = _thick(inside) if number + 1 < count else 0.0
        parts.append(_leaving(left + 74, found, _thick(leaving), staying))
        if staying:
            parts.append(_band(left + 74, left + COLUMN, staying, "flow"))
        parts += _written(left + 74, found)
    label = f"{in_words(row['exits'])}: {_in_a_sentence(exits)}"
    return (
        f'<svg class="anatomy" style="min-width:{max(480, 84 * count)}px" viewBox="0 0 {width} {HEIGHT}" '
        f'role="img" aria-label="{text(label)}">{"".join(parts)}</svg>'
    )


def _in_a_sentence(exits: Sequence[Exit]) -> str:
    return "; ".join(f"{percent(each.share)}% of the images leave at {each.name}" for each in exits)


def _thick(share: float) -> float:
    return max(SMALLEST, BAND * share) if share > 0 else 0.0


def _stage(left: float, number: int, macs: int | None, thickness: float) -> list[str]:
    cost = "" if macs is None else f"{mega(macs)}M"
    return [
        f'<text class="name" x="{left + 37}" y="16">stage {number + 1}</text>',
        f'<text class="cost" x="{left + 37}" y="34">{cost}</text>',
        f'<rect class="stage" x="{left}" y="{CEILING - 6}" width="74" height="{BAND + 12}" rx="6"/>',
        _band(left, left + 74, thickness, "flow in"),
    ]


def _band(start: float, end: float, thickness: float, kind: str) -> str:
    if not thickness:
        return ""
    size = f'width="{end - start}" height="{thickness:.2f}"'
    return f'<rect class="{kind}" x="{start}" y="{CEILING}" {size}/>'


def _leaving(start: float, found: Exit, thickness: float, staying: float) -> str:
    """The part of the band that leaves: under what stays, it turns and runs down to its label."""
    if not thickness:
        return f'<path class="unused" d="M{start + 28} {CEILING + staying:.1f}V{FOOT}"/>'
    top, bottom = CEILING + staying, CEILING + staying + thickness
    outer, inner = start + 28 + thickness / 2, start + 28 - thickness / 2
    path = (
        f"M{start} {top:.2f}Q{outer:.2f} {top:.2f} {outer:.2f} {bottom + 6:.2f}V{FOOT}H{inner:.2f}"
        f"V{bottom + 6:.2f}Q{inner:.2f} {bottom:.2f} {start} {bottom:.2f}Z"
    )
    return f'<path class="leave {found.kind}" d="{path}"/>'


def _written(start: float, found: Exit) -> list[str]:
    right = NONE if found.accuracy is None else f"{percent(found.accuracy)}% right"
    # Images that leave nowhere have no accuracy.
    lines = [found.name, f"{percent(found.share)}% leave", right if found.share else ""]
    if found.threshold is not None:
        lines[0] += f" ≥ {found.threshold:.2f}"
    return [
        f'<text class="{kind}" x="{start + 28}" y="{FOOT + 20 + 20 * at}">{line}</text>'
        for at, (kind, line) in enumerate(zip(("name", "cost", "cost"), lines, strict=True))
    ]
