"""Choice of networks from a result by accuracy and cost on the validation part, never on the test part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edanas.core.errors import EdanasError
from edanas.core.result_row import ResultRow
from edanas.report.formatting import exits_text, mega, percent

_SIZES = {
    "params": "params",
    "activations": "activations",
    "ram": "bytes of RAM",
    "flash": "bytes of flash",
}
"""Fields of `ResultRow` that bounds on the size limit, and their names in messages."""


@dataclass(frozen=True)
class Bounds:
    """Bounds on accuracy, cost and size of a network; `None`, the default, means no bound.

    Args:
        max_macs: Maximum of executed MACs for one image, on average over the validation part.
        min_accuracy: Minimum of the validation accuracy, a fraction in [0, 1].
        max_params: Maximum number of parameters, placed heads included.
        max_activations: Maximum number of elements in the largest layer output.
        max_ram: Maximum number of bytes of RAM on a microcontroller.
        max_flash: Maximum number of bytes of flash on a microcontroller.

    Raises:
        EdanasError: A maximum is not above 0, or `min_accuracy` is outside [0, 1].
    """

    max_macs: float | None = None
    min_accuracy: float | None = None
    max_params: float | None = None
    max_activations: float | None = None
    max_ram: float | None = None
    max_flash: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_macs", *(f"max_{name}" for name in _SIZES)):
            most = getattr(self, name)
            if most is not None and not most > 0:
                raise EdanasError(f"{name}: found {most}; allowed: a positive number")
        if self.min_accuracy is not None and not 0 <= self.min_accuracy <= 1:
            raise EdanasError(f"min_accuracy: found {self.min_accuracy}; allowed: a fraction, 0 to 1")

    @property
    def sizes(self) -> dict[str, float]:
        """The bounds on a network's size: name of a field of `ResultRow` -> its maximum."""
        sizes = {name: getattr(self, f"max_{name}") for name in _SIZES}
        return {name: most for name, most in sizes.items() if most is not None}

    def small_enough(self, row: ResultRow) -> bool:
        """Return `True` if the network's size is within the bounds.

        Raises:
            EdanasError: The size of the network is not known, since an older version wrote the result.
        """
        for name, most in self.sizes.items():
            size = getattr(row, name)
            if size is None:
                raise EdanasError(
                    f"max_{name}: the result lacks the number of {_SIZES[name]} of network {row.id}"
                )
            if size > most:
                return False
        return True

    def good_enough(self, row: ResultRow) -> bool:
        """Return `True` if the network's executed MACs and accuracy are within the bounds."""
        cheap = self.max_macs is None or row.macs_for_choice <= self.max_macs
        return cheap and (self.min_accuracy is None or row.validation_accuracy >= self.min_accuracy)


def choose(rows: Sequence[ResultRow], bounds: Bounds) -> ResultRow:
    """Return the most accurate network within the bounds, or the cheapest one.

    The cheapest network is returned if `bounds` has `min_accuracy` but not `max_macs`. A network that
    executes more than its own backbone is returned only if no other network is within the bounds.

    Args:
        rows: One or more networks.
        bounds: Bounds on the network.

    Raises:
        EdanasError: No network is within the bounds. The message names the nearest networks.
    """
    small = [row for row in rows if bounds.small_enough(row)]
    if not small:
        raise EdanasError(_smallest(rows, bounds))
    good = [row for row in small if bounds.good_enough(row)]
    if not good:
        raise EdanasError(_nearest(small, bounds))
    good = [row for row in good if row.is_below_backbone] or good
    if bounds.max_macs is None and bounds.min_accuracy is not None:
        return min(good, key=lambda row: (row.macs_for_choice, -row.validation_accuracy))
    return most_accurate(good)


def most_accurate(rows: Sequence[ResultRow]) -> ResultRow:
    """Return the network with the highest validation accuracy; of equally accurate networks, the cheapest."""
    return max(rows, key=lambda row: (row.validation_accuracy, -row.macs_for_choice))


def dominating(rows: Sequence[ResultRow]) -> dict[str, ResultRow]:
    """Return the networks that another network of `rows` dominates on the validation part.

    Returns:
        Id of each dominated network -> the most accurate network that is at least as accurate and executes no
        more MACs. One of the two figures is better, so equal networks do not dominate each other.

    Example:
        >>> figures = {"exits": 1, "thresholds": (0.9,), "utilization": (0.6, 0.4), "test_accuracy": 0.9,
        ...     "ada_macs": 4e6, "backbone_macs": 9e6, "backbone_test_accuracy": 0.9, "params": 9}
        >>> rows = [
        ...     ResultRow(id=name, validation_accuracy=accuracy, executed_macs=macs, **figures)
        ...     for name, accuracy, macs in (("a", 0.98, 4e6), ("b", 0.98, 5e6), ("c", 0.99, 6e6))
        ... ]
        >>> {name: row.id for name, row in dominating(rows).items()}
        {'b': 'a'}
    """

    def place(row: ResultRow) -> tuple[float, float]:
        return row.validation_accuracy, -row.macs_for_choice

    better = {
        row.id: [
            other
            for other in rows
            if place(other) != place(row)
            and other.validation_accuracy >= row.validation_accuracy
            and other.macs_for_choice <= row.macs_for_choice
        ]
        for row in rows
    }
    return {name: most_accurate(others) for name, others in better.items() if others}


def dominated_note(rows: Sequence[ResultRow]) -> str:
    """Return a note on the networks that another network of `rows` dominates; empty if there are none."""
    lines = [
        f"{name} by {row.id} ({percent(row.validation_accuracy)}% at {mega(row.macs_for_choice)}M)"
        for name, row in dominating(rows).items()
    ]
    if not lines:
        return ""
    return (
        "* = another early-exit network is at least as accurate on the validation part and executes no more: "
        f"{'; '.join(lines)}."
    )


def highlights(front: Sequence[ResultRow]) -> Mapping[str, ResultRow]:
    """Return the two networks that a report shows first.

    Returns:
        A mapping with two keys. `accurate` is the most accurate network. `cheap` is the network with the
        smallest ratio of executed MACs to MACs of the backbone, among those that no other network dominates.
        The mapping is empty if `front` is empty.
    """
    if not front:
        return {}
    dominated = dominating(front)
    best = [row for row in front if row.id not in dominated]
    cheap = min(best, key=lambda row: (row.macs_for_choice / row.backbone_macs, -row.validation_accuracy))
    return {"accurate": most_accurate(front), "cheap": cheap}


def calibrated(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Return the networks whose accuracy and cost are known on the calibration and the validation part.

    Accuracy and cost on the calibration part are known if the thresholds were set there.
    """
    return [
        row
        for row in rows
        if row.calibration_accuracy is not None
        and row.calibration_executed_macs is not None
        and row.validation_executed_macs is not None
    ]


def _smallest(rows: Sequence[ResultRow], bounds: Bounds) -> str:
    """Return the message for bounds on the size that no network keeps."""
    limits = " and ".join(f"at most {most:.10g} {_SIZES[name]}" for name, most in bounds.sizes.items())
    least = " and ".join(
        f"{min(getattr(row, name) for row in rows):.10g} {_SIZES[name]}" for name in bounds.sizes
    )
    return f"no network has {limits}; the smallest numbers are {least}"


def _nearest(rows: Sequence[ResultRow], bounds: Bounds) -> str:
    """Return the message for bounds on accuracy and cost that no network keeps."""
    cheapest = min(rows, key=lambda row: row.macs_for_choice)
    best = max(rows, key=lambda row: row.validation_accuracy)
    limits = [] if bounds.max_macs is None else [_at_most(bounds.max_macs)]
    if bounds.min_accuracy is not None:
        limits.append(f"at least {percent(bounds.min_accuracy)}% validation accuracy")
    nearest = {f"the cheapest {_figures(cheapest)}": None, f"the most accurate {_figures(best)}": None}
    return f"no network has {' and '.join(limits)}; {', '.join(nearest)}"


def _at_most(macs: float) -> str:
    """Return the text of a bound on executed MACs, with a hint if the bound is likely in millions."""
    if macs < 1000:
        return f"at most {macs:g} executed MACs (for {macs:g} million, set max_macs={macs:g}e6)"
    return f"at most {mega(macs)}M executed MACs"


def _figures(row: ResultRow) -> str:
    """Return number of early exits, accuracy and cost of a network, for a message."""
    return (
        f"({exits_text(row.exits)}) has {percent(row.validation_accuracy)}% at {mega(row.macs_for_choice)}M"
    )
