"""Continuous thresholds set on calibration samples, from an exit profile alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.costs import Costs
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.schemes import exit_costs, restrict_profile, separating_thresholds, sum_at_exits

_SCHEMES = 400_000
"""Approximate number of schemes that one enumeration scores: 24 thresholds for each of four exits."""

Grid = list[npt.NDArray[np.int64]]


def set_thresholds(
    profile: ExitProfile,
    costs: Costs,
    placed: Sequence[int],
    exit_points: int,
    accuracy_drop: float = 0.0,
    caution: int = 12,
) -> SelectionScheme:
    """Return the cheapest thresholds that are accurate enough on these samples.

    Accurate enough means the accuracy of the last exit minus `accuracy_drop`; cheapest means least executed
    MACs. Every threshold lies midway between two neighbouring confidences of its exit.

    The cheapest of so many schemes owes part of its accuracy to chance, and loses it on other samples.
    Therefore the accuracy must also suffice if every threshold were `caution` samples lower. On synthetic
    profiles with 180 samples and four exits, the accuracy lost on other samples is 0.018 without caution, at
    0.29 of the backbone's MACs. With a caution of 12 it is 0.007, at 0.34 of them. With thousands of samples,
    caution has next to no effect.

    With few combinations (two exits and 600 samples, say) every scheme is scored. Otherwise schemes on a grid
    of quantiles are scored, and the grid is refined around the best until it is as fine as the samples. Of
    equally cheap schemes the most accurate is chosen, and of equally accurate ones the strictest. If no
    scheme is accurate enough, the most accurate one is returned.

    Args:
        profile: Calibration samples, used for nothing that is reported.
        costs: Costs of the backbone and its heads.
        placed: The exit points that keep an exit.
        exit_points: N.
        accuracy_drop: A fraction; the accuracy that may be given up. Below 0, more accuracy is required.
        caution: Samples; 0 for no safety margin.

    Returns:
        A threshold in [0, 1] at each placed exit point, and `None` elsewhere. Each is exact in float32.

    Raises:
        ValueError: `placed` is not among the profile's points, the profile is empty, or caution is negative.
        CostError: The cost of a placed exit's head is not known.

    Example:
        >>> import numpy as np
        >>> correct = np.array([[True, True], [False, True], [True, True]])
        >>> confidence = np.array([[0.9, 1], [0.2, 1], [0.8, 1]], dtype=np.float32)
        >>> profile = ExitProfile((0,), confidence, correct)
        >>> set_thresholds(profile, Costs((10, 10), (1,), 1), (0,), 1, caution=0).thresholds
        (0.5,)
    """
    if caution < 0:
        raise ValueError(f"caution is {caution}; allowed: 0 samples or more")
    points = tuple(sorted(set(placed)))
    if missing := [point for point in points if point not in profile.points or not 0 <= point < exit_points]:
        raise ValueError(
            f"an exit is placed at exit point {missing[0]} of {exit_points}; the profile has {profile.points}"
        )
    if not len(profile):
        raise ValueError("thresholds cannot be set on an exit profile without samples")
    if not points:
        return SelectionScheme((None,) * exit_points)
    search = _Search.of(profile, costs, points, accuracy_drop, caution)
    chosen = dict(zip(points, search.best(), strict=True))
    return SelectionScheme(tuple(chosen.get(point) for point in range(exit_points)))


@dataclass(frozen=True)
class _Search:
    """Search over rising thresholds of P placed exits that separate the S confidences of each.

    Args:
        thresholds: For each exit, float32.
        fires: (S, P) how many thresholds of the exit, from the lowest, fire for a sample.
        lenient: (S, P) as `fires`, if each threshold were lower by `caution` samples.
        correct: (S, P + 1), the last exit included.
        cost: (P + 1,) executed MACs of a sample that exits there.
        needed: The least number of correct samples.
    """

    thresholds: list[npt.NDArray[np.float32]]
    fires: npt.NDArray[np.int64]
    lenient: npt.NDArray[np.int64]
    correct: npt.NDArray[np.bool_]
    cost: npt.NDArray[np.float64]
    needed: int

    @classmethod
    def of(
        cls,
        profile: ExitProfile,
        costs: Costs,
        points: tuple[int, ...],
        accuracy_drop: float,
        caution: int,
    ) -> "_Search":
        """Return the search for the exits at `points`."""
        placed_profile = restrict_profile(profile, points)
        confidence, correct = placed_profile.confidence[:, :-1], placed_profile.correct
        thresholds = [separating_thresholds(column) for column in confidence.T]
        fires = [np.searchsorted(t, c, side="right") for t, c in zip(thresholds, confidence.T, strict=True)]
        lenient = [_shift_by_caution(each, caution) for each in fires]
        cost = exit_costs(costs, points)
        # The rounding of a fraction times the number of samples must not ask for one sample more.
        needed = math.ceil(float(correct[:, -1].sum()) - accuracy_drop * len(profile) - 1e-6)
        return cls(thresholds, np.stack(fires, axis=1), np.stack(lenient, axis=1), correct, cost, needed)

    def best(self) -> list[float]:
        """Return the chosen threshold of each exit."""
        size = max(2, int(_SCHEMES ** (1 / len(self.thresholds))))
        windows = [(0, len(t) - 1) for t in self.thresholds]
        grid = [self._quantiles(exit_, size) for exit_ in range(len(windows))]
        while True:
            at = self._cheapest(grid)
            chosen = [int(g[i]) for g, i in zip(grid, at, strict=True)]
            windows = [
                (int(g[max(i - 1, 0)]), int(g[min(i + 1, len(g) - 1)])) for g, i in zip(grid, at, strict=True)
            ]
            finer = [
                _refined_indices(*window, keep, size) for window, keep in zip(windows, chosen, strict=True)
            ]
            if all(np.isin(new, old).all() for new, old in zip(finer, grid, strict=True)):
                return [float(t[index]) for t, index in zip(self.thresholds, chosen, strict=True)]
            grid = finer

    def _quantiles(self, exit_: int, size: int) -> npt.NDArray[np.int64]:
        """Return about `size` threshold indices of an exit, with equally many samples between neighbours."""
        count = len(self.thresholds[exit_])
        if count <= size:
            return np.arange(count)
        ordered = np.sort(self.fires[:, exit_])
        ranks = np.linspace(0, len(ordered) - 1, size - 1).round().astype(np.int64)
        return np.unique(np.append(np.minimum(ordered[ranks], count - 1), [0, count - 1]))

    def _cheapest(self, grid: Grid) -> tuple[int, ...]:
        """Return the position in `grid`, for each exit, of the cheapest scheme that is accurate enough."""
        executed, right = self._score(grid)
        enough = right >= self.needed
        if not enough.any():
            enough = right == right.max()
        limit = executed[enough].min() * (1 + 1e-12)
        cheapest = enough & (executed <= limit)
        ties = np.argwhere(cheapest & (right == right[cheapest].max()))
        return tuple(int(i) for i in ties[-1])

    def _score(self, grid: Grid) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return total executed MACs and correct samples of every scheme on `grid`, one axis per exit."""
        executed = self._total(grid, self.fires, np.broadcast_to(self.cost, self.correct.shape))
        right = self._total(grid, self.fires, self.correct)
        return executed, np.minimum(right, self._total(grid, self.lenient, self.correct))

    def _total(
        self, grid: Grid, fires: npt.NDArray[np.int64], values: npt.NDArray[Any]
    ) -> npt.NDArray[np.float64]:
        """Sum the value (S, P + 1) of each sample at its exit, for every scheme on `grid`."""
        levels = [np.searchsorted(g, fires[:, e], side="left") for e, g in enumerate(grid)]
        return sum_at_exits(levels, [len(g) for g in grid], values)


def _shift_by_caution(fires: npt.NDArray[np.int64], caution: int) -> npt.NDArray[np.int64]:
    """Replace the number of firing thresholds (S,) of each sample by that of the one `caution` ranks above.

    So a threshold that fires for some samples fires for `caution` more, and for all that tie with the last of
    them. A threshold above all samples still fires for none.
    """
    ordered = np.sort(fires)
    last_of_equals = np.searchsorted(ordered, fires, side="right") - 1
    return ordered[np.minimum(last_of_equals + caution, len(fires) - 1)]


def _refined_indices(low: int, high: int, keep: int, size: int) -> npt.NDArray[np.int64]:
    """Return about `size` indices from `low` to `high`, `keep` among them."""
    if high - low < size:
        return np.arange(low, high + 1)
    return np.unique(np.append(np.linspace(low, high, size).round().astype(np.int64), keep))
