"""Holding a budget on a stream without labels: after each batch, thresholds move along a path.

A path leads from thresholds with which everybody leaves at the first exit to those with which nobody leaves
early. Where on it one stands is said in multiply-adds: what these thresholds cost on the calibration samples.
After a batch that cost more than the budget, one steps back by a share of the excess; after a cheaper one,
forward. That is adaptive conformal inference (Gibbs and Candès, "Adaptive Conformal Inference Under
Distribution Shift", NeurIPS 2021) with costs in the place of errors. Its guarantee (their Proposition 4.1)
holds here too, whatever the images are and in whichever order they come: at the cheap end a batch costs no
more than the budget, at the dear end no less, so the position never leaves the path by more than one step;
and between two times it has moved by the excess between them over the horizon. Hence, for any n images in a
row, in whole batches of up to an eighth of the horizon,

    | mean executed MACs - budget |  <=  1.75 (dearest - cheapest) horizon / n

where the cheapest and the dearest leave at the first and the last exit. It never holds less above the budget;
below it, confidences of exactly 1 cannot be held back, for they leave at any threshold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.types import SelectionScheme
from edanas.thresholds.quantile_thresholds import exit_odds, mean_cost, thresholds_at_odds

HOLD = "hold"
"""The key of a description under which stands how a stream is to hold a budget."""

HORIZON = 500
"""Images over which an excess is made up for."""

MIN_HORIZON = 8
"""Images: no horizon is shorter. No batch moves thresholds by more than its excess divided by this."""

_LARGEST_STEP = 1 / MIN_HORIZON

_ROOM = 0.25
"""Of the costs' range: how far a path goes on where no calibration sample is, for images of another kind."""

_SHIFTS = 129
_KNOTS = 33
_LOGITS = 8.0
"""How far thresholds move, in logits, where nothing is known of the confidences."""

Floats = npt.NDArray[np.float64]
Confidences = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ThresholdPath:
    """Thresholds from the cheapest to the dearest, for the exits that stand.

    Args:
        macs: (K,) rising; what thresholds cost on calibration samples, or beyond what any cost there.
        thresholds: (K, P), no column falling, from 0 to 1.
    """

    macs: Floats
    thresholds: Floats

    def at(self, macs: float) -> tuple[float, ...]:
        """P thresholds in [0, 1], exact in float32; beyond an end those of the end."""
        found = [np.interp(macs, self.macs, column) for column in self.thresholds.T]
        return tuple(float(np.float32(each)) for each in found)


def calibrated_path(
    confidence: Confidences, scheme: SelectionScheme, leaving: Floats, utilization: Sequence[float]
) -> ThresholdPath:
    """The path along which all odds of leaving are multiplied by one number; see `quantile_thresholds`.

    Args:
        confidence: (S, P) of calibration samples, by exit placed.
        scheme: Chosen on them; the odds that it gives are multiplied by 1.
        leaving: (P + 1,) multiply-adds of a sample that leaves at each placed exit and the last; rising.
        utilization: Who leaves where with `scheme`, N + 1 fractions.
    """
    points, count = scheme.placed, len(scheme.thresholds)
    odds = exit_odds(utilization, points, len(confidence))
    farthest = float(np.abs(odds).max() + np.log(2 * len(confidence) + 2))
    shifts = np.linspace(-farthest, farthest, _SHIFTS)
    strict_first = [
        _placed_thresholds(thresholds_at_odds(confidence, odds + each, points, count)) for each in shifts
    ]
    # An exit that nobody reaches any more stays as it was when somebody did.
    rows = np.minimum.accumulate(strict_first, axis=0)[::-1]
    macs = np.array([_mean_cost(confidence, row, leaving) for row in rows])
    return _thin_path(macs, rows, _ROOM * float(leaving[-1] - leaving[0]))


def uncalibrated_path(scheme: SelectionScheme, leaving: Floats) -> ThresholdPath:
    """A path through `scheme` where no confidences are known: all thresholds move alike in logits.

    `scheme` lies in its middle; costs are evenly spread, and not what they will be.
    """
    middle = np.clip(_placed_thresholds(scheme), 1e-4, 1 - 1e-4)
    moves = np.linspace(-_LOGITS, _LOGITS, _KNOTS)[:, None]
    rows = 1.0 / (1.0 + np.exp(-(np.log(middle / (1 - middle)) + moves)))
    rows[_KNOTS // 2] = _placed_thresholds(scheme)
    macs = np.linspace(leaving[0], leaving[-1], _KNOTS)
    return _thin_path(macs, np.maximum.accumulate(rows, axis=0), float(macs[1] - macs[0]))


class BudgetHolder:
    """Thresholds that hold a budget of executed multiply-adds for an image on average; see above.

    Args:
        scheme: The exits that stand.
        path: Where thresholds move.
        leaving: (P + 1,) multiply-adds of an image that leaves at each placed exit and the last; rising.
        budget: Multiply-adds; from the first to the last of `leaving`.
        horizon: Images over which an excess is made up for.
        start: Where on the path to begin; `None` for the budget.

    Raises:
        ValueError: There is no exit, the budget cannot be held, or the horizon is too short.
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
        """Of how many images a batch should be at most, for thresholds to move as soon as they may."""
        return self.horizon // MIN_HORIZON

    @property
    def scheme(self) -> SelectionScheme:
        """The thresholds for the next batch."""
        found = dict(zip(self._placed, self.path.at(self.position), strict=True))
        return SelectionScheme(tuple(found.get(point) for point in range(self._count)))

    def note(self, exits: Sequence[int]) -> None:
        """Move, after the images of a batch have left; their order does not matter.

        Args:
            exits: Where each left: a placed exit point, or N.

        Raises:
            ValueError: One left where no exit stands.
        """
        if not len(exits):
            return
        known = dict(zip((*self._placed, self._count), self.leaving.tolist(), strict=True))
        if strange := set(exits) - set(known):
            raise ValueError(
                f"an image left at exit point {min(strange)}; allowed: {', '.join(map(str, known))}"
            )
        counts = [sum(each == at for each in exits) for at in known]
        mean = float(np.dot(counts, self.leaving)) / len(exits)
        share = min(len(exits) / self.horizon, _LARGEST_STEP)
        farthest = self.path.macs[-1] + _LARGEST_STEP * (self.budget - self.leaving[0])
        # Below, nothing is cut off: that would forget what was overdrawn.
        self.position = float(min(self.position + share * (self.budget - mean), farthest))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
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
        """The inverse of `to_dict`, with another budget if one is given.

        Raises:
            LookupError, TypeError, ValueError: The values are damaged, of other exits than `scheme` places,
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
    """About `_KNOTS` of the rows, evenly spread in cost; beyond them it is `room` on to 0 and to 1."""
    # Of rows that cost the same the last, so that the cheapest are no laxer than they need be.
    macs, place = np.unique(macs[::-1], return_index=True)
    rows = rows[::-1][place]
    wanted = np.linspace(macs[0], macs[-1], _KNOTS)
    kept = np.unique(np.abs(macs[:, None] - wanted).argmin(axis=0))
    zeros, ones = np.zeros((1, rows.shape[1])), np.ones((1, rows.shape[1]))
    return ThresholdPath(
        np.array([macs[0] - room, *macs[kept], macs[-1] + room]), np.concatenate([zeros, rows[kept], ones])
    )
