"""Scores of all selection schemes of one backbone at once, from its exit profile alone."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edanas.core.costs import Costs, ada_macs, executed_macs
from edanas.core.types import ExitProfile, SelectionScheme

Measure = Literal["executed", "ada"]
"""Executed MACs or, as in the paper, ADA_MACS."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Thresholds = npt.NDArray[np.float32]


def score_schemes(
    profile: ExitProfile, costs_of_exit: npt.ArrayLike, grids: Sequence[Thresholds]
) -> tuple[Floats, Floats]:
    """Return accuracy and mean cost of every combination of thresholds.

    The result equals scoring each scheme by itself. Time grows with samples + schemes instead of samples x
    schemes.

    Args:
        profile: A column for each placed exit, and the last exit; see `restrict_profile`.
        costs_of_exit: (E,) cost of a sample that exits at each column.
        grids: For each column but the last, rising thresholds in float32.

    Returns:
        Two arrays with an axis for each grid, (G1, ..., GP): top-1 as a fraction, and the cost per sample.

    Raises:
        ValueError: The profile is empty, or costs or grids do not fit it.

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
    """Return how many samples exit at each exit, (E, G1, ..., GP), for the schemes of `score_schemes`.

    Raises:
        ValueError: The profile is empty, or the grids do not fit it.
    """
    levels = _levels(profile, grids)
    shape = [len(grid) for grid in grids]
    here = np.eye(profile.correct.shape[1])
    counts = [sum_at_exits(levels, shape, np.broadcast_to(e, profile.correct.shape)) for e in here]
    return np.stack(counts).astype(np.int64)


def restrict_profile(profile: ExitProfile, placed: Sequence[int]) -> ExitProfile:
    """Return the profile with only the columns of the exit points `placed` and of the last exit.

    Raises:
        ValueError: There is no such column.
    """
    points = tuple(sorted(set(placed)))
    if missing := set(points) - set(profile.points):
        raise ValueError(f"an exit is placed at exit point {min(missing)}; the profile has {profile.points}")
    columns = [*(profile.points.index(point) for point in points), -1]
    return ExitProfile(points, profile.confidence[:, columns], profile.correct[:, columns])


def exit_costs(costs: Costs, placed: Sequence[int], measure: Measure = "executed") -> Floats:
    """Return the multiply-adds of a sample that exits at each placed exit point, or the last: (P + 1,).

    Raises:
        CostError: The cost of a placed exit's head is not known.
    """
    count = len(costs.heads)
    scheme = SelectionScheme(tuple(0.5 if point in placed else None for point in range(count)))
    mean = {"executed": executed_macs, "ada": ada_macs}[measure]
    one_exit_each = np.eye(count + 1)[[*placed, count]]
    return np.array([mean(costs, scheme, each.tolist()) for each in one_exit_each])


def separating_thresholds(confidence: Thresholds) -> Thresholds:
    """Return rising thresholds that split the values (S,) in every way.

    The first is below all values, the last above all. The lowest is half the least value, not 0, so that a
    sample with a much lower confidence stays. The highest is 1, or below 1 if a value is exactly 1, because
    no confidence is above 1.

    Example:
        >>> separating_thresholds(np.float32([0.5, 0.25])).tolist()
        [0.125, 0.375, 1.0]
    """
    values = np.unique(confidence)
    below = np.concatenate([[np.float32(0.0)], values[:-1]])
    middle = below + (values - below) / 2
    # Neighbours in float32 have no middle; the upper one separates them.
    thresholds = np.where(middle > below, middle, values)
    return thresholds if values[-1] == 1.0 else np.append(thresholds, np.float32(1.0))


def sum_at_exits(levels: Sequence[Integers], shape: Sequence[int], values: npt.NDArray[Any]) -> Floats:
    """Sum the value (S, P + 1) of each sample at its exit, for every scheme on a grid.

    Samples that stay at the first exits and exit at the next fill a box of the joint histogram of levels.
    Cumulative sums give all boxes.

    Args:
        levels: For each of the P exits, how many of the grid's thresholds fire for each sample, (S,).
        shape: The number of thresholds of each exit on the grid.
        values: The values to sum, by sample and exit.
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
    """Return, for each exit, how many of its grid's thresholds fire for each sample."""
    if not len(profile):
        raise ValueError("an exit profile without samples has no accuracy")
    if len(grids) != len(profile.points):
        raise ValueError(f"{len(grids)} grids of thresholds for exit points {profile.points}")
    levels = []
    for point, grid, confidence in zip(profile.points, grids, profile.confidence.T, strict=False):
        rising = np.asarray(grid, dtype=np.float32)
        if rising.ndim != 1 or not len(rising) or (np.diff(rising) < 0).any():
            raise ValueError(f"thresholds of exit {point + 1}: expected one or more, rising")
        levels.append(np.searchsorted(rising, confidence, side="right"))
    return levels


def _box_sums(sums: npt.NDArray[Any], *, last: bool) -> npt.NDArray[Any]:
    """Sum over samples that exit at the last axis and stay at all before; for `last`, stay at all axes."""
    for axis in range(sums.ndim):
        upto = sums.cumsum(axis=axis)
        passed = upto.take(range(upto.shape[axis] - 1), axis=axis)
        leaves = axis == sums.ndim - 1 and not last
        sums = upto.take([-1], axis=axis) - passed if leaves else passed
    return sums
