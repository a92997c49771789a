"""Drawing of an early-exit network: its stages from left to right, and the flow of samples to its exits.

The flow is a band. Its thickness shows the fraction of the samples that have not yet exited. At each exit, a
branch for the samples that exit there turns downwards. All columns are equally wide, so that labels fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edanas.core.result_row import ResultRow
from edanas.report.formatting import NONE, exits_text, mega, percent
from edanas.report.html.markup import text

COLUMN, EDGE, MARGIN = 132, 8, 30
"""Width of the column for a stage and its exit, and the margins left and right, in the drawing's units."""
BAND, CEILING = 58, 46
"""Thickness of the band for all samples, and the height of its upper edge, in the drawing's units."""
FOOT, HEIGHT = 168, 244
"""Lower end of the branches, and height of the drawing, in the drawing's units."""
SMALLEST = 1.5
"""Minimum thickness of a band or branch with samples, in the drawing's units."""


@dataclass(frozen=True)
class Exit:
    """One exit of a finished network, with its results on the test part.

    Args:
        number: Index of the exit point, from 0; for the last exit, the number of exit points.
        name: Name of the exit, e.g. `exit 2` or `last exit`.
        threshold: Threshold of the exit; `None` for the last exit.
        share: Fraction of the test images that exit here.
        accuracy: Accuracy on the test images that exit here, a fraction; `None` = not known, or no image
            exits here.
        macs: MACs for an image that exits here, all heads up to here included; `None` = not known.
    """

    number: int
    name: str
    threshold: float | None
    share: float
    accuracy: float | None
    macs: float | None

    @property
    def kind(self) -> str:
        """Class of the exit in the style sheet, which sets its colour."""
        return "last" if self.threshold is None else f"e{self.number % 4}"


def exits_of(row: ResultRow) -> list[Exit]:
    """Return the placed exits of a network and its last exit."""
    last = len(row.thresholds)
    accuracies = row.exit_accuracy or (None,) * (last + 1)
    exits = []
    for number, threshold in enumerate((*row.thresholds, None)):
        if threshold is None and number < last:
            continue
        name = "last exit" if number == last else f"exit {number + 1}"
        share = float(row.utilization[number])
        exits.append(Exit(number, name, threshold, share, accuracies[number], _cost(row, number)))
    return exits


def _cost(row: ResultRow, number: int) -> float | None:
    """Return the MACs for an image that exits at exit `number`, with all placed heads up to this exit.

    `None` if the row lacks the MACs of the stages or heads.
    """
    if not row.stage_macs or row.head_macs is None:
        return None
    placed = [at for at, threshold in enumerate(row.thresholds) if threshold is not None and at <= number]
    last = float(row.last_macs or 0) if number == len(row.head_macs) else 0.0
    return float(sum(row.stage_macs[: number + 1]) + sum(row.head_macs[at] or 0 for at in placed) + last)


def drawing(row: ResultRow) -> str:
    """Return the network as an `<svg>` element; a cut network ends after its last stage."""
    exits = exits_of(row)
    count = row.stages
    width = EDGE + COLUMN * count + MARGIN
    by_stage = {min(each.number, count - 1): each for each in exits}
    parts, inside = [], 1.0
    for number, macs in enumerate((row.stage_macs or (None,) * count)[:count]):
        left = EDGE + COLUMN * number
        parts += _stage(left, number, macs, _thickness(inside))
        leaving = by_stage.get(number)
        if leaving is None:
            parts.append(_band(left + 74, left + COLUMN, _thickness(inside), "flow"))
            continue
        inside = max(0.0, inside - leaving.share)
        staying = _thickness(inside) if number + 1 < count else 0.0
        parts.append(_branch(left + 74, leaving, staying))
        if staying:
            parts.append(_band(left + 74, left + COLUMN, staying, "flow"))
        parts += _labels(left + 74, leaving)
    label = f"{exits_text(row.exits)}: {_description(exits)}"
    return (
        f'<svg class="anatomy" style="min-width:{max(480, 84 * count)}px" viewBox="0 0 {width} {HEIGHT}" '
        f'role="img" aria-label="{text(label)}">{"".join(parts)}</svg>'
    )


def _description(exits: Sequence[Exit]) -> str:
    """Return the percentage of images that exit at each exit as text, for screen readers."""
    return "; ".join(f"{percent(each.share)}% of the samples exit at {each.name}" for each in exits)


def _thickness(share: float) -> float:
    """Return the thickness of a band for a fraction of the samples, in the drawing's units."""
    return max(SMALLEST, BAND * share) if share > 0 else 0.0


def _stage(left: float, number: int, macs: int | None, thickness: float) -> list[str]:
    """Return the box of a stage with its name and MACs, and the band that crosses it."""
    cost = "" if macs is None else f"{mega(macs)}M"
    return [
        f'<text class="name" x="{left + 37}" y="16">stage {number + 1}</text>',
        f'<text class="cost" x="{left + 37}" y="34">{cost}</text>',
        f'<rect class="stage" x="{left}" y="{CEILING - 6}" width="74" height="{BAND + 12}" rx="6"/>',
        _band(left, left + 74, thickness, "flow in"),
    ]


def _band(start: float, end: float, thickness: float, kind: str) -> str:
    """Return the part of the band from `start` to `end`, in the drawing's units."""
    if not thickness:
        return ""
    size = f'width="{end - start}" height="{thickness:.2f}"'
    return f'<rect class="{kind}" x="{start}" y="{CEILING}" {size}/>'


def _branch(start: float, leaving: Exit, staying: float) -> str:
    """Return the branch of an exit, which leaves the band and runs down to the label.

    Args:
        start: Left end of the branch, in the drawing's units.
        leaving: The exit.
        staying: Thickness of the band after the exit, in the drawing's units.
    """
    thickness = _thickness(leaving.share)
    top, bottom = CEILING + staying, CEILING + staying + thickness
    if not thickness:
        return f'<path class="unused" d="M{start + 28} {top:.1f}V{FOOT}"/>'
    outer, inner = start + 28 + thickness / 2, start + 28 - thickness / 2
    path = (
        f"M{start} {top:.2f}Q{outer:.2f} {top:.2f} {outer:.2f} {bottom + 6:.2f}V{FOOT}H{inner:.2f}"
        f"V{bottom + 6:.2f}Q{inner:.2f} {bottom:.2f} {start} {bottom:.2f}Z"
    )
    return f'<path class="leave {leaving.kind}" d="{path}"/>'


def _labels(start: float, leaving: Exit) -> list[str]:
    """Return the label of an exit: name with threshold, share of the images, accuracy."""
    correct = NONE if leaving.accuracy is None else f"{percent(leaving.accuracy)}% correct"
    # An exit without images has no accuracy.
    lines = [leaving.name, f"{percent(leaving.share)}% exit", correct if leaving.share else ""]
    if leaving.threshold is not None:
        lines[0] += f" ≥ {leaving.threshold:.2f}"
    return [
        f'<text class="{kind}" x="{start + 28}" y="{FOOT + 20 + 20 * number}">{line}</text>'
        for number, (kind, line) in enumerate(zip(("name", "cost", "cost"), lines, strict=True))
    ]
