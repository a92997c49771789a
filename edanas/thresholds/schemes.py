"""Accuracy and cost of all combinations of thresholds of one backbone at once, from its exit profile."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edanas.core.costs import Costs, ada_macs, executed_macs
from edanas.core.types import ExitProfile, SelectionScheme

Measure = Literal["executed", "ada"]
"""The cost to compute: `executed` for executed MACs, `ada` for the paper's ADA_MACS."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Thresholds = npt.NDArray[np.float32]


def score_schemes(
    profile: ExitProfile, costs_of_exit: npt.ArrayLike, grids: Sequence[Thresholds]
) -> tuple[Floats, Floats]:
    """Return accuracy and mean cost of every combination of thresholds.

    The results equal those of scoring each combination by itself. The time grows with the sum of the numbers
    of samples and combinations instead of their product.

    Args:
        profile: Exit profile with a column for each of the P placed exits and the last exit; see
            `restrict_profile`.
        costs_of_exit: (P + 1,) cost of a sample that exits at each placed exit and at the last exit.
        grids: For each placed exit, the thresholds to combine, rising, in float32.

    Returns:
        Top-1 accuracy, a fraction, and mean cost per sample: two arrays with an axis for each placed exit, as
        long as the exit's grid.

    Raises:
        ValueError: The profile has no samples, or costs or grids do not fit the profile.

    Example:
        >>> correct = np.array([[True, True], [False, True]])
        >>> profile = ExitProfile((0,), np.array([[0.9, 1], [0.2, 1]], dtype=np.float32), correct)
        >>> accuracy, cost = score_schemes(profile, [10, 20], [np.float32([0.1, 0.5])])
        >>> accuracy.tolist(), cost.tolist()
        ([0.5, 1.0], [10.0, 15.0])
    """
    costs = np.asarray(costs_of_exit, dtype=np.float64)
    if costs.shape != (profile.correct.shape[1],):
        raise ValueError(
            f"costs of shape {costs.shape}; expected ({profile.correct.shape[1]},), one for each exit"
        )
    levels = _levels(profile, grids)
    shape = [len(grid) for grid in grids]
    right = sum_at_exits(levels, shape, profile.correct)
    cost = sum_at_exits(levels, shape, np.broadcast_to(costs, profile.correct.shape))
    return right / len(profile), cost / len(profile)


def count_exits(profile: ExitProfile, grids: Sequence[Thresholds]) -> Integers:
    """Return the number of samples that exit at each exit, for every combination of thresholds.

    Args:
        profile: See `score_schemes`.
        grids: See `score_schemes`.

    Returns:
        An array whose first axis is the exit, the last exit included; each placed exit then has an axis as
        long as its grid.

    Raises:
        ValueError: The profile has no samples, or the grids do not fit the profile.
    """
    levels = _levels(profile, grids)
    shape = [len(grid) for grid in grids]
    here = np.eye(profile.correct.shape[1])
    counts = [sum_at_exits(levels, shape, np.broadcast_to(e, profile.correct.shape)) for e in here]
    return np.stack(counts).astype(np.int64)


def restrict_profile(profile: ExitProfile, placed: Sequence[int]) -> ExitProfile:
    """Return the exit profile of a network that has exits only at the exit points `placed`.

    Args:
        profile: Exit profile with a column for each exit point in `placed`.
        placed: Exit points to keep, in any order; the last exit always stays.

    Raises:
        ValueError: An exit point in `placed` is not in the profile.
    """
    points = tuple(sorted(set(placed)))
    if missing := set(points) - set(profile.points):
        raise ValueError(
            f"an exit is placed at exit point {min(missing)}; "
            f"the profile has the exit points {profile.points}"
        )
    columns = [*(profile.points.index(point) for point in points), -1]
    return ExitProfile(points, profile.confidence[:, columns], profile.correct[:, columns])


def exit_costs(costs: Costs, placed: Sequence[int], measure: Measure = "executed") -> Floats:
    """Return the costs (P + 1,) of a sample that exits at each of P placed exits and at the last exit.

    Args:
        costs: Costs of the backbone and its heads.
        placed: Exit points of the placed exits, ascending.
        measure: `executed`, the default, counts every evaluated head. `ada` omits heads at which the sample
            did not exit.

    Returns:
        Costs in the units of `costs`.

    Raises:
        CostError: The cost of a placed exit's head is not known.
    """
    count = len(costs.heads)
    scheme = SelectionScheme(tuple(0.5 if point in placed else None for point in range(count)))
    mean = {"executed": executed_macs, "ada": ada_macs}[measure]
    one_exit_each = np.eye(count + 1)[[*placed, count]]
    return np.array([mean(costs, scheme, each.tolist()) for each in one_exit_each])


def separating_thresholds(confidence: Thresholds) -> Thresholds:
    """Return the rising thresholds that split confidences (S,) in every possible way.

    The lowest threshold is half the least confidence, so that all S samples exit and a new sample with a much
    lower confidence stays. The highest threshold is 1, at which no sample exits. A sample with a confidence
    of exactly 1 exits at every threshold; the highest threshold then excludes the next lower confidence.

    Example:
        >>> separating_thresholds(np.float32([0.5, 0.25])).tolist()
        [0.125, 0.375, 1.0]
    """
    values = np.unique(confidence)
    below = np.concatenate([[np.float32(0.0)], values[:-1]])
    middle = below + (values - below) / 2
    # Neighbouring float32 numbers have no number between them; then the upper number is the threshold.
    thresholds = np.where(middle > below, middle, values)
    return thresholds if values[-1] == 1.0 else np.append(thresholds, np.float32(1.0))


def sum_at_exits(levels: Sequence[Integers], shape: Sequence[int], values: npt.NDArray[Any]) -> Floats:
    """Return, for every combination of thresholds, the sum over samples of each sample's value at its exit.

    The level of a sample at an exit is the number of thresholds that its confidence reaches. Samples that
    pass the first exits and exit at the next fill a box of the joint histogram of levels. Cumulative sums
    give the sums over all boxes.

    Args:
        levels: For each of the P placed exits, the levels (S,) of the samples.
        shape: Number of thresholds of each placed exit.
        values: (S, P + 1) value of each sample for each placed exit and the last exit.

    Returns:
        An array with an axis for each placed exit, as long as its number of thresholds.
    """
    total = np.zeros(shape)
    for exit_ in range(len(shape) + 1):
        bins = tuple(n + 1 for n in shape[: exit_ + 1])
        if bins:
            flat = np.ravel_multi_index(tuple(levels[: exit_ + 1]), bins)
            sums = np.bincount(flat, weights=values[:, exit_], minlength=math.prod(bins)).reshape(bins)
        else:
            sums = values[:, exit_].sum(dtype=np.float64)
        leaving = _box_sums(np.asarray(sums), last=exit_ == len(shape))
        total += leaving.reshape(leaving.shape + (1,) * (len(shape) - leaving.ndim))
    return total


def _levels(profile: ExitProfile, grids: Sequence[Thresholds]) -> list[Integers]:
    """Return, for each placed exit, the number of thresholds (S,) that each sample's confidence reaches."""
    if not len(profile):
        raise ValueError("an exit profile without samples has no accuracy")
    if len(grids) != len(profile.points):
        raise ValueError(
            f"found {len(grids)} grids of thresholds; "
            f"allowed: one for each of the exit points {profile.points}"
        )
    levels = []
    for point, grid, confidence in zip(profile.points, grids, profile.confidence.T, strict=False):
        rising = np.asarray(grid, dtype=np.float32)
        if rising.ndim != 1 or not len(rising) or (np.diff(rising) < 0).any():
            raise ValueError(
                f"thresholds of exit {point + 1}: found {rising.tolist()}; "
                "allowed: a list of one or more numbers in rising order"
            )
        levels.append(np.searchsorted(rising, confidence, side="right"))
    return levels


def _box_sums(sums: npt.NDArray[Any], *, last: bool) -> npt.NDArray[Any]:
    """Return, for every choice of thresholds, the sum over the samples that exit at one exit.

    The samples pass all earlier exits and exit at the exit of the last axis.

    Args:
        sums: Sums of values by level, with an axis for each exit so far; see `sum_at_exits`.
        last: True for the sums over samples that pass the exit of the last axis as well, and reach the last
            exit.
    """
    for axis in range(sums.ndim):
        upto = sums.cumsum(axis=axis)
        passed = upto.take(range(upto.shape[axis] - 1), axis=axis)
        leaves = axis == sums.ndim - 1 and not last
        sums = upto.take([-1], axis=axis) - passed if leaves else passed
    return sums
