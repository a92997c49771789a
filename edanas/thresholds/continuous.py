"""Continuous thresholds, chosen from the exit profile of the calibration samples; no network runs."""

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
"""Approximate number of schemes that are scored at once; with four exits that is 24 thresholds an exit."""

IndexGrid = list[npt.NDArray[np.int64]]


def set_thresholds(
    profile: ExitProfile,
    costs: Costs,
    placed: Sequence[int],
    exit_points: int,
    accuracy_drop: float = 0.0,
    caution: int = 12,
) -> SelectionScheme:
    """Return the thresholds with the least executed MACs that keep the required accuracy.

    The required accuracy is the accuracy of the last exit minus `accuracy_drop`. Every threshold lies midway
    between two neighbouring confidences of its exit.

    The cheapest of many schemes owes part of its accuracy to chance, and is less accurate on other samples.
    Therefore a scheme must also keep the required accuracy with lower thresholds, which `caution` samples
    more reach at each exit. On synthetic profiles with 180 samples and four exits, schemes without caution
    lose 0.018 of accuracy on other samples, and cost 0.29 of the backbone's MACs. With a caution of 12
    samples they lose 0.007 and cost 0.34 of the MACs. With thousands of samples, caution has next to no
    effect.

    If there are few schemes (two exits and 600 samples, say), all schemes are scored. Otherwise the search
    scores a grid of quantiles, and refines the grid around the best scheme until it is as fine as the
    samples. The most accurate of several cheapest schemes is chosen, and if several are equally accurate, the
    scheme with the highest thresholds. If no scheme keeps the required accuracy, the result is the most
    accurate scheme.

    Args:
        profile: Exit profile of the calibration samples.
        costs: Costs of the backbone and its heads.
        placed: Exit points that keep an exit, in any order.
        exit_points: Number N of exit points.
        accuracy_drop: Accuracy that may be lost against the last exit, as a fraction. A negative number
            requires more accuracy than that of the last exit.
        caution: Number of samples of the safety margin; 0 for no margin.

    Returns:
        A scheme with a threshold in [0, 1] at each exit point in `placed`, and `None` at the other exit
        points. Thresholds are exact in float32.

    Raises:
        ValueError: An exit point in `placed` is not in the profile, the profile has no samples, or `caution`
            is negative.
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
            f"an exit is placed at exit point {missing[0]} of {exit_points}; "
            f"the profile has the exit points {profile.points}"
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
    """Search over thresholds of P placed exits for the cheapest scheme that is accurate enough on S samples.

    Args:
        thresholds: For each exit, its candidate thresholds in float32, rising.
        fires: (S, P) number of candidate thresholds that do not exceed the sample's confidence at the exit.
        lenient: (S, P) as `fires`, with thresholds that `caution` samples more reach.
        correct: (S, P + 1) bool, true where an exit classifies a sample correctly; the last column is the
            last exit.
        cost: (P + 1,) executed MACs of a sample that exits at each placed exit and at the last exit.
        needed: Least number of correctly classified samples.
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
        """Return the search for exits at the exit points `points`; arguments as for `set_thresholds`."""
        placed_profile = restrict_profile(profile, points)
        confidence, correct = placed_profile.confidence[:, :-1], placed_profile.correct
        thresholds = [separating_thresholds(column, profile.levels) for column in confidence.T]
        fires = [np.searchsorted(t, c, side="right") for t, c in zip(thresholds, confidence.T, strict=True)]
        lenient = [_shift_by_caution(each, caution) for each in fires]
        cost = exit_costs(costs, points)
        # Subtracted, because rounding of a fraction times the number of samples may require one sample more.
        needed = math.ceil(float(correct[:, -1].sum()) - accuracy_drop * len(profile) - 1e-6)
        return cls(thresholds, np.stack(fires, axis=1), np.stack(lenient, axis=1), correct, cost, needed)

    def best(self) -> list[float]:
        """Return the threshold of each placed exit in the cheapest scheme that is accurate enough."""
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
        """Return about `size` indices of an exit's candidate thresholds, at equal shares of the samples."""
        count = len(self.thresholds[exit_])
        if count <= size:
            return np.arange(count)
        ordered = np.sort(self.fires[:, exit_])
        ranks = np.linspace(0, len(ordered) - 1, size - 1).round().astype(np.int64)
        return np.unique(np.append(np.minimum(ordered[ranks], count - 1), [0, count - 1]))

    def _cheapest(self, grid: IndexGrid) -> tuple[int, ...]:
        """Return, for each exit, the index in `grid` of its threshold in the cheapest scheme.

        Only schemes that classify at least `needed` samples correctly count. If there is none, the indices
        belong to the most accurate scheme.
        """
        executed, right = self._score(grid)
        enough = right >= self.needed
        if not enough.any():
            enough = right == right.max()
        limit = executed[enough].min() * (1 + 1e-12)
        cheapest = enough & (executed <= limit)
        ties = np.argwhere(cheapest & (right == right[cheapest].max()))
        return tuple(int(i) for i in ties[-1])

    def _score(self, grid: IndexGrid) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the total executed MACs and the number of correct samples of every scheme on `grid`.

        Both arrays have an axis for each exit. The number of correct samples is the smaller of the numbers
        with and without caution.
        """
        executed = self._total(grid, self.fires, np.broadcast_to(self.cost, self.correct.shape))
        right = self._total(grid, self.fires, self.correct)
        return executed, np.minimum(right, self._total(grid, self.lenient, self.correct))

    def _total(
        self, grid: IndexGrid, fires: npt.NDArray[np.int64], values: npt.NDArray[Any]
    ) -> npt.NDArray[np.float64]:
        """Return, for every scheme on `grid`, the sum over samples of each sample's value at its exit.

        Args:
            grid: For each exit, indices of its candidate thresholds.
            fires: (S, P) number of candidate thresholds that each sample reaches at each exit.
            values: (S, P + 1) value of each sample for each placed exit and the last exit.
        """
        levels = [np.searchsorted(g, fires[:, e], side="left") for e, g in enumerate(grid)]
        return sum_at_exits(levels, [len(g) for g in grid], values)


def _shift_by_caution(fires: npt.NDArray[np.int64], caution: int) -> npt.NDArray[np.int64]:
    """Return the numbers of firing thresholds (S,) as if each threshold were lower by `caution` samples.

    Samples are ranked by their number of firing thresholds. Each sample gets the number of the sample
    `caution` ranks above it. Therefore a threshold that fires for some samples fires for `caution` samples
    more, and for all samples with equal numbers. A threshold that no confidence reaches still fires for no
    sample.
    """
    ordered = np.sort(fires)
    last_of_equals = np.searchsorted(ordered, fires, side="right") - 1
    return ordered[np.minimum(last_of_equals + caution, len(fires) - 1)]


def _refined_indices(low: int, high: int, keep: int, size: int) -> npt.NDArray[np.int64]:
    """Return about `size` rising indices from `low` to `high`, among them `keep`."""
    if high - low < size:
        return np.arange(low, high + 1)
    return np.unique(np.append(np.linspace(low, high, size).round().astype(np.int64), keep))
