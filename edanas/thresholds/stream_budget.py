"""A cost budget on a stream without labels: after each batch, thresholds move along a path.

A path leads from thresholds with which all samples exit at the first exit to thresholds with which none exits
early. A position on it is a number of multiply-adds: the cost of these thresholds on the calibration samples.
After a batch that cost more than the budget, the position moves back by a share of the excess; after a
cheaper one, forward. That is adaptive conformal inference (Gibbs and Candès, "Adaptive Conformal Inference
Under Distribution Shift", NeurIPS 2021) with costs in place of errors.

Its guarantee (their Proposition 4.1) holds here too, for any images in any order. At the cheap end a batch
costs no more than the budget, and at the dear end no less. So the position never leaves the path by more than
one step. Between two times it moves by the excess between them over the horizon. Hence, for any n consecutive
images, in whole batches of up to an eighth of the horizon,

    | mean executed MACs - budget |  <=  1.75 (dearest - cheapest) horizon / n

where the cheapest and the dearest are the costs of exiting at the first and the last exit. The upper bound
always holds. The lower one needs confidences below 1, because samples with a confidence of exactly 1 exit at
any threshold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.types import SelectionScheme
from edanas.thresholds.quantile_thresholds import exit_odds, mean_cost, thresholds_at_odds

HOLD = "hold"
"""Key of a network's description for the values of its `BudgetHolder`."""

HORIZON = 500
"""Default number of images over which an excess is compensated."""

MIN_HORIZON = 8
"""Shortest horizon, in images. No batch moves thresholds by more than its excess divided by this."""

_LARGEST_STEP = 1 / MIN_HORIZON

_ROOM = 0.25
"""Share of the range of costs by which a path extends beyond that of the calibration samples."""

_SHIFTS = 129
_KNOTS = 33
_LOGITS = 8.0
"""Largest shift of thresholds, in logits, where no confidences are known."""

Floats = npt.NDArray[np.float64]
Confidences = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ThresholdPath:
    """Thresholds of the placed exits, from the cheapest to the dearest.

    Args:
        macs: (K,) rising; the cost of the thresholds on calibration samples, or beyond any cost there.
        thresholds: (K, P), no column falling, from 0 to 1.

    Example:
        >>> path = ThresholdPath(np.array([10.0, 20.0]), np.array([[0.0], [1.0]]))
        >>> path.at(15)
        (0.5,)
    """

    macs: Floats
    thresholds: Floats

    def at(self, macs: float) -> tuple[float, ...]:
        """Return P thresholds in [0, 1], exact in float32; beyond an end those of the end."""
        thresholds = [np.interp(macs, self.macs, column) for column in self.thresholds.T]
        return tuple(float(np.float32(each)) for each in thresholds)


def calibrated_path(
    confidence: Confidences, scheme: SelectionScheme, leaving: Floats, utilization: Sequence[float]
) -> ThresholdPath:
    """Return the path on which all odds of exiting are multiplied by one number; see `quantile_thresholds`.

    Args:
        confidence: (S, P) of calibration samples, by placed exit.
        scheme: The scheme chosen on them; its odds are those at factor 1.
        leaving: (P + 1,) multiply-adds of a sample that exits at each placed exit and the last; rising.
        utilization: N + 1 fractions of the samples that exit at each exit with `scheme`.
    """
    points, count = scheme.placed, len(scheme.thresholds)
    odds = exit_odds(utilization, points, len(confidence))
    farthest = float(np.abs(odds).max() + np.log(2 * len(confidence) + 2))
    shifts = np.linspace(-farthest, farthest, _SHIFTS)
    strict_first = [
        _placed_thresholds(thresholds_at_odds(confidence, odds + each, points, count)) for each in shifts
    ]
    # The threshold of an exit that no sample reaches any more stays as it was.
    rows = np.minimum.accumulate(strict_first, axis=0)[::-1]
    macs = np.array([_mean_cost(confidence, row, leaving) for row in rows])
    return _thin_path(macs, rows, _ROOM * float(leaving[-1] - leaving[0]))


def uncalibrated_path(scheme: SelectionScheme, leaving: Floats) -> ThresholdPath:
    """Return a path through `scheme` for unknown confidences: all thresholds move by the same logits.

    `scheme` lies in its middle. Costs are evenly spread, and differ from the true ones.
    """
    middle = np.clip(_placed_thresholds(scheme), 1e-4, 1 - 1e-4)
    moves = np.linspace(-_LOGITS, _LOGITS, _KNOTS)[:, None]
    rows = 1.0 / (1.0 + np.exp(-(np.log(middle / (1 - middle)) + moves)))
    rows[_KNOTS // 2] = _placed_thresholds(scheme)
    macs = np.linspace(leaving[0], leaving[-1], _KNOTS)
    return _thin_path(macs, np.maximum.accumulate(rows, axis=0), float(macs[1] - macs[0]))


class BudgetHolder:
    """Thresholds that hold a budget of executed multiply-adds per image on average; see the module.

    Args:
        scheme: The scheme of the placed exits.
        path: The path of the thresholds.
        leaving: (P + 1,) multiply-adds of an image that exits at each placed exit and the last; rising.
        budget: Multiply-adds; from the first to the last of `leaving`.
        horizon: Number of images over which an excess is compensated.
        start: Position on the path at the start; `None` for the budget.

    Raises:
        ValueError: There is no exit, the budget cannot be held, or the horizon is too short.

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
        fits = path.thresholds.shape[1] == scheme.exits == len(self.leaving) - 1 > 0
        reachable = self.leaving[0] <= budget * (1 + 1e-9) and budget <= self.leaving[-1] * (1 + 1e-9)
        if not fits or not reachable or horizon < MIN_HORIZON:
            raise ValueError(
                f"{scheme.exits} exits, {len(self.leaving)} costs, a budget of {budget:g} MACs, a horizon of "
                f"{horizon}; allowed: 1 exit or more, a budget between the costs, a horizon of {MIN_HORIZON} "
                "or more"
            )
        self.path, self.budget, self.horizon = path, float(budget), horizon
        self.position = self.budget if start is None else start
        self._placed, self._count = scheme.placed, len(scheme.thresholds)

    @property
    def batch(self) -> int:
        """The largest batch, in images, with which thresholds move as fast as they can."""
        return self.horizon // MIN_HORIZON

    @property
    def scheme(self) -> SelectionScheme:
        """The thresholds for the next batch."""
        thresholds = dict(zip(self._placed, self.path.at(self.position), strict=True))
        return SelectionScheme(tuple(thresholds.get(point) for point in range(self._count)))

    def note(self, exits: Sequence[int]) -> None:
        """Move the thresholds after the images of a batch have exited; their order does not matter.

        Args:
            exits: The exit of each image: a placed exit point, or N.

        Raises:
            ValueError: An image exited where no exit is placed.
        """
        if not len(exits):
            return
        costs = dict(zip((*self._placed, self._count), self.leaving.tolist(), strict=True))
        if unknown := set(exits) - set(costs):
            raise ValueError(
                f"an image exited at exit point {min(unknown)}; allowed: {', '.join(map(str, costs))}"
            )
        counts = [sum(each == at for each in exits) for at in costs]
        mean = float(np.dot(counts, self.leaving)) / len(exits)
        share = min(len(exits) / self.horizon, _LARGEST_STEP)
        farthest = self.path.macs[-1] + _LARGEST_STEP * (self.budget - self.leaving[0])
        # No lower limit: it would discard an excess that is not compensated yet.
        self.position = float(min(self.position + share * (self.budget - mean), farthest))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
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
        """Return the holder of `to_dict`, with another budget if one is given.

        Raises:
            LookupError, TypeError, ValueError: The values are damaged or of other exits than `scheme` places,
                or the budget cannot be held.
        """
        if tuple(values["exits"]) != scheme.placed:
            raise ValueError(f"a path of exits {values['exits']} for a network of {scheme.placed}")
        macs, thresholds = (np.array(values["path"][key], float) for key in ("macs", "thresholds"))
        good = macs.ndim == 1 and thresholds.shape == (len(macs), scheme.exits) and len(macs)
        if not good or not ((thresholds >= 0) & (thresholds <= 1)).all() or not (np.diff(macs) > 0).all():
            raise ValueError(f"a path of {macs.shape} costs and {thresholds.shape} thresholds")
        limit = float(values["max_macs"]) if budget is None else budget
        return cls(scheme, ThresholdPath(macs, thresholds), values["leaving"], limit, int(values["horizon"]))


def _mean_cost(confidence: Confidences, thresholds: Floats, leaving: Floats) -> float:
    points = range(len(thresholds))
    return mean_cost(confidence, SelectionScheme(tuple(thresholds.tolist())), points, leaving)


def _placed_thresholds(scheme: SelectionScheme) -> Floats:
    return np.array([each for each in scheme.thresholds if each is not None], dtype=np.float64)


def _thin_path(macs: Floats, rows: Floats, room: float) -> ThresholdPath:
    """Return about `_KNOTS` of the rows, evenly spread in cost, and thresholds of 0 and 1 beyond them.

    Args:
        macs: (n,) costs of the rows.
        rows: (n, P) thresholds.
        room: Distance in cost of the added ends.
    """
    # The last of rows with equal cost: the cheapest thresholds are then as strict as possible.
    macs, place = np.unique(macs[::-1], return_index=True)
    rows = rows[::-1][place]
    targets = np.linspace(macs[0], macs[-1], _KNOTS)
    knots = np.unique(np.abs(macs[:, None] - targets).argmin(axis=0))
    zeros, ones = np.zeros((1, rows.shape[1])), np.ones((1, rows.shape[1]))
    return ThresholdPath(
        np.array([macs[0] - room, *macs[knots], macs[-1] + room]), np.concatenate([zeros, rows[knots], ones])
    )
