"""A budget of multiply-adds on a stream without labels: thresholds move after each batch of images.

The thresholds come from a threshold path: a list of thresholds in order of their mean cost on the calibration
samples. With the first thresholds of the path all samples exit at the first exit. With the last thresholds no
sample exits early. A position on the path is a mean cost in multiply-adds, and selects the thresholds that
have that cost.

After each batch the mean cost of its images is compared with the budget. If the batch cost more, the position
falls by a part of the difference, which lowers the thresholds. If it cost less, the position rises. The
method is adaptive conformal inference (Gibbs and Candès, "Adaptive Conformal Inference Under Distribution
Shift", NeurIPS 2021) with costs in place of errors.

The guarantee of their Proposition 4.1 holds here too, for any images in any order. At the first thresholds a
batch costs at most the budget, at the last thresholds at least the budget. Therefore the position never
leaves the path by more than one step. Over any n consecutive images, the position moves by the sum of the
differences between cost and budget, divided by the horizon. The horizon is the number of images over which a
difference is compensated. Hence, in whole batches of at most an eighth of the horizon,

    | mean executed MACs - budget |  <=  1.75 (highest - lowest) horizon / n

where the lowest cost is the cost of exiting at the first exit, and the highest cost the cost of exiting at
the last exit. The mean never exceeds the budget by more than this bound. It can fall further below the budget
only if confidences are exactly 1, because samples with a confidence of 1 exit at every threshold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.types import SelectionScheme

HOLD = "hold"
"""Key of a network's description under which the values of `BudgetHolder.to_dict` are stored."""

HORIZON = 500
"""Default number of images over which a difference between cost and budget is compensated."""

MIN_HORIZON = 8
"""Shortest horizon, in images."""

_ROUNDING = 1e-9
"""Relative excess over a budget that still counts as within it, because sums of floats are rounded."""

_LARGEST_STEP = 1 / MIN_HORIZON
"""Largest step of the position after a batch, as a fraction of the difference between cost and budget."""

Floats = npt.NDArray[np.float64]
Confidences = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ThresholdPath:
    """R rows of thresholds for P placed exits, in order of rising mean cost.

    Between two rows, thresholds are interpolated linearly.

    Args:
        macs: (R,) position of each row, rising: the mean cost of its thresholds on the calibration samples,
            in multiply-adds. The two ends lie beyond every such cost.
        thresholds: (R, P) thresholds in [0, 1]; at no exit do they fall from row to row.

    Example:
        >>> path = ThresholdPath(np.array([10.0, 20.0]), np.array([[0.0], [1.0]]))
        >>> path.at(15)
        (0.5,)
    """

    macs: Floats
    thresholds: Floats

    def at(self, macs: float) -> tuple[float, ...]:
        """Return the P thresholds, exact in float32, at a position on the path.

        Args:
            macs: The position, in multiply-adds. Positions below the first row give the thresholds of the
                first row; positions above the last row give the thresholds of the last row.
        """
        thresholds = [np.interp(macs, self.macs, column) for column in self.thresholds.T]
        return tuple(float(np.float32(each)) for each in thresholds)


class BudgetHolder:
    """Moving thresholds that hold a budget of executed multiply-adds per image on average.

    The module's docstring explains the method.

    Args:
        scheme: Selection scheme of the network, which places P exits, one or more. Its thresholds are not
            used.
        path: Rows of thresholds for the P placed exits, in order of their mean cost.
        leaving: P + 1 costs in multiply-adds, rising: the cost of an image that exits at each placed exit,
            and of an image that exits at the last exit.
        budget: Multiply-adds per image to hold on average; at least the first and at most the last number of
            `leaving`.
        horizon: Number of images over which a difference between cost and budget is compensated; 8 or more.
        start: First position on the path, in multiply-adds. By default it is the budget.

    Raises:
        ValueError: No exit is placed, `path` or `leaving` is for another number of exits, `budget` is out of
            range, or `horizon` is too short.

    Example:
        >>> path = ThresholdPath(np.array([10.0, 20.0]), np.array([[0.0], [1.0]]))
        >>> holder = BudgetHolder(SelectionScheme((0.5,)), path, [10, 20], budget=15)
        >>> holder.note([1] * 50)  # all images exit at the last exit, which costs too much
        >>> holder.scheme.thresholds
        (0.44999998807907104,)
    """

    def __init__(
        self,
        scheme: SelectionScheme,
        path: ThresholdPath,
        leaving: Sequence[float],
        budget: float,
        horizon: int = HORIZON,
        start: float | None = None,
    ) -> None:
        self.leaving = np.array(leaving, dtype=np.float64)
        _check_exits(scheme.exits, path, len(self.leaving))
        first, last = float(self.leaving[0]), float(self.leaving[-1])
        if not (first <= budget * (1 + _ROUNDING) and budget <= last * (1 + _ROUNDING)):
            raise ValueError(
                f"budget: found {budget:g} MACs; allowed: {first:g} to {last:g}, the costs of exiting at the "
                "first and at the last exit"
            )
        if horizon < MIN_HORIZON:
            raise ValueError(f"horizon: found {horizon}; allowed: {MIN_HORIZON} samples or more")
        self.path, self.budget, self.horizon = path, float(budget), horizon
        self.position = self.budget if start is None else start
        self._placed, self._count = scheme.placed, len(scheme.thresholds)

    @property
    def batch(self) -> int:
        """Largest number of images in a batch for which the bound on the mean cost holds."""
        return self.horizon // MIN_HORIZON

    @property
    def scheme(self) -> SelectionScheme:
        """Selection scheme with the thresholds for the next batch."""
        thresholds = dict(zip(self._placed, self.path.at(self.position), strict=True))
        return SelectionScheme(tuple(thresholds.get(point) for point in range(self._count)))

    def note(self, exits: Sequence[int]) -> None:
        """Move the thresholds after a batch of images.

        The order of the images does not matter. An empty batch changes nothing.

        Args:
            exits: For each image, the exit point at which it exited, or N for the last exit of a network with
                N exit points.

        Raises:
            ValueError: An image exited at an exit point where no exit is placed.
        """
        if not len(exits):
            return
        costs = dict(zip((*self._placed, self._count), self.leaving.tolist(), strict=True))
        if unknown := set(exits) - set(costs):
            raise ValueError(
                f"a sample exited at exit point {min(unknown)}; allowed: {', '.join(map(str, costs))}"
            )
        counts = [sum(each == at for each in exits) for at in costs]
        mean = float(np.dot(counts, self.leaving)) / len(exits)
        share = min(len(exits) / self.horizon, _LARGEST_STEP)
        farthest = self.path.macs[-1] + _LARGEST_STEP * (self.budget - self.leaving[0])
        # A lower limit would discard costs above the budget that are not compensated yet.
        self.position = float(min(self.position + share * (self.budget - mean), farthest))

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, lists and dictionaries from which `from_dict` builds the holder again.

        The position on the path is not among them.
        """
        return {
            "max_macs": self.budget,
            "horizon": self.horizon,
            "exits": list(self._placed),
            "leaving": self.leaving.tolist(),
            "path": {"macs": self.path.macs.tolist(), "thresholds": self.path.thresholds.tolist()},
        }

    @classmethod
    def from_dict(
        cls, scheme: SelectionScheme, values: Mapping[str, Any], budget: float | None = None
    ) -> "BudgetHolder":
        """Return a holder built from the values of `to_dict`, at the start of a stream.

        Args:
            scheme: Selection scheme of the network; it must place the exits in `values`.
            values: The values of `to_dict`.
            budget: Multiply-adds per image to hold on average; `None`, the default, for the budget in
                `values`.

        Raises:
            LookupError: A value is missing.
            TypeError: A value has the wrong type.
            ValueError: A value is damaged, `scheme` places other exits, or the budget is out of range.
        """
        if tuple(values["exits"]) != scheme.placed:
            raise ValueError(
                f"exits: found {list(values['exits'])}; allowed: {list(scheme.placed)}, the placed exits "
                "of the network"
            )
        macs, thresholds = (np.array(values["path"][key], float) for key in ("macs", "thresholds"))
        _check_path(macs, thresholds, scheme.exits)
        limit = float(values["max_macs"]) if budget is None else budget
        return cls(scheme, ThresholdPath(macs, thresholds), values["leaving"], limit, int(values["horizon"]))


def _check_exits(exits: int, path: ThresholdPath, costs: int) -> None:
    """Check the numbers of placed exits, of thresholds and of costs.

    At least one exit is placed, the path has a threshold for each placed exit, and there is one cost more,
    for the last exit.

    Args:
        exits: Number of placed exits.
        path: The threshold path.
        costs: Number of costs.

    Raises:
        ValueError: One of these numbers is wrong.
    """
    if exits < 1:
        raise ValueError("scheme: found no placed exit; allowed: 1 exit or more")
    if path.thresholds.shape[1] != exits:
        raise ValueError(f"path: found thresholds of {path.thresholds.shape[1]} exits; allowed: {exits}")
    if costs != exits + 1:
        raise ValueError(
            f"leaving: found {costs} costs; allowed: {exits + 1}, one for each placed exit and the last exit"
        )


def _check_path(macs: Floats, thresholds: Floats, exits: int) -> None:
    """Check positions and thresholds of a path for `exits` placed exits.

    Raises:
        ValueError: A shape is wrong, the positions on the path do not rise, or a threshold is out of range.
    """
    if macs.ndim != 1 or not len(macs):
        raise ValueError(f"path.macs: found shape {macs.shape}; allowed: a list of one or more numbers")
    if thresholds.shape != (len(macs), exits):
        raise ValueError(
            f"path.thresholds: found shape {thresholds.shape}; allowed: {(len(macs), exits)}, a row for each "
            "number of path.macs and a column for each placed exit"
        )
    if not ((thresholds >= 0) & (thresholds <= 1)).all():
        raise ValueError(
            f"path.thresholds: found {thresholds.min():g} to {thresholds.max():g}; allowed: 0 to 1"
        )
    if not (np.diff(macs) > 0).all():
        raise ValueError(f"path.macs: found {macs.tolist()}; allowed: rising numbers")
