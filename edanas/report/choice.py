"""The choice of networks out of a result, always by their figures on the validation part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edanas.core.errors import EdanasError
from edanas.core.result_row import ResultRow
from edanas.report.formatting import exits_text, mega, percent


@dataclass(frozen=True)
class Bounds:
    """Bounds on a network; `None` is no bound.

    Args:
        max_macs: Most executed MACs for one image, on average over the validation part.
        min_accuracy: Least validation accuracy, a fraction.
        max_params: Most parameters, placed heads included.
        max_activations: Most elements of the largest layer output.

    Raises:
        EdanasError: A maximum is not positive, or the accuracy is no fraction.
    """

    max_macs: float | None = None
    min_accuracy: float | None = None
    max_params: float | None = None
    max_activations: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_macs", "max_params", "max_activations"):
            most = getattr(self, name)
            if most is not None and not most > 0:
                raise EdanasError(f"{name}: found {most}; allowed: a positive number")
        if self.min_accuracy is not None and not 0 <= self.min_accuracy <= 1:
            raise EdanasError(f"min_accuracy: found {self.min_accuracy}; allowed: a fraction, 0 to 1")

    @property
    def sizes(self) -> dict[str, float]:
        """The bounds on a network's size, by the field of `ResultRow`."""
        sizes = {"params": self.max_params, "activations": self.max_activations}
        return {name: most for name, most in sizes.items() if most is not None}

    def small_enough(self, row: ResultRow) -> bool:
        """Return whether the network's size is within the bounds.

        Raises:
            EdanasError: The row of an older version lacks a size.
        """
        for name, most in self.sizes.items():
            size = getattr(row, name)
            if size is None:
                raise EdanasError(f"max_{name}: the result does not say how many {name} a network has")
            if size > most:
                return False
        return True

    def good_enough(self, row: ResultRow) -> bool:
        """Return whether cost and accuracy are within the bounds."""
        cheap = self.max_macs is None or row.macs_for_choice <= self.max_macs
        return cheap and (self.min_accuracy is None or row.validation_accuracy >= self.min_accuracy)


def choose(rows: Sequence[ResultRow], bounds: Bounds) -> ResultRow:
    """Return the most accurate network within the bounds; with `min_accuracy` but no `max_macs` the cheapest.

    Args:
        rows: One or more networks.
        bounds: The bounds.

    Raises:
        EdanasError: No network is within the bounds; the text names the nearest.
    """
    small = [row for row in rows if bounds.small_enough(row)]
    if not small:
        raise EdanasError(_smallest(rows, bounds))
    good = [row for row in small if bounds.good_enough(row)]
    if not good:
        raise EdanasError(_nearest(small, bounds))
    if bounds.max_macs is None and bounds.min_accuracy is not None:
        return min(good, key=lambda row: (row.macs_for_choice, -row.validation_accuracy))
    return most_accurate(good)


def most_accurate(rows: Sequence[ResultRow]) -> ResultRow:
    """Return the network with the highest validation accuracy; of equals the cheapest."""
    return max(rows, key=lambda row: (row.validation_accuracy, -row.macs_for_choice))


def highlights(front: Sequence[ResultRow]) -> Mapping[str, ResultRow]:
    """Return the most accurate network and the relatively cheapest; nothing for an empty front.

    Returns:
        `accurate` and `cheap`. The relative cost is executed MACs over those of the backbone.
    """
    if not front:
        return {}
    cheap = min(front, key=lambda row: (row.macs_for_choice / row.backbone_macs, -row.validation_accuracy))
    return {"accurate": most_accurate(front), "cheap": cheap}


def rival(row: ResultRow, singles: Sequence[ResultRow]) -> ResultRow | None:
    """Return the most accurate single-exit network that costs no more than `row`; `None` if none does."""
    affordable = [single for single in singles if single.macs_for_choice <= row.macs_for_choice]
    return max(affordable, key=lambda single: single.validation_accuracy, default=None)


def calibrated(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Return the networks whose thresholds were set on the calibration part, with known figures there."""
    return [
        row
        for row in rows
        if row.calibration_accuracy is not None
        and row.calibration_executed_macs is not None
        and row.validation_executed_macs is not None
    ]


def _smallest(rows: Sequence[ResultRow], bounds: Bounds) -> str:
    limits = " and ".join(f"at most {most:g} {name}" for name, most in bounds.sizes.items())
    least = " and ".join(f"{min(getattr(row, name) for row in rows):g} {name}" for name in bounds.sizes)
    return f"no network has {limits}; the fewest are {least}"


def _nearest(rows: Sequence[ResultRow], bounds: Bounds) -> str:
    cheapest = min(rows, key=lambda row: row.macs_for_choice)
    best = max(rows, key=lambda row: row.validation_accuracy)
    limits = [] if bounds.max_macs is None else [_at_most(bounds.max_macs)]
    if bounds.min_accuracy is not None:
        limits.append(f"at least {percent(bounds.min_accuracy)}% validation accuracy")
    nearest = {f"the cheapest {_figures(cheapest)}": None, f"the most accurate {_figures(best)}": None}
    return f"no network has {' and '.join(limits)}; {', '.join(nearest)}"


def _at_most(macs: float) -> str:
    """Return a bound on executed MACs; one below 1000 was probably meant in millions."""
    if macs < 1000:
        return f"at most {macs:g} executed MACs (was {macs:g}M meant? That is max_macs={macs:g}e6)"
    return f"at most {mega(macs)}M executed MACs"


def _figures(row: ResultRow) -> str:
    return (
        f"({exits_text(row.exits)}) has {percent(row.validation_accuracy)}% at {mega(row.macs_for_choice)}M"
    )
