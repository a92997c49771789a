"""Costs of exits, thresholds that separate samples, and sums over all combinations of thresholds."""

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
    return ExitProfile(points, profile.confidence[:, columns], profile.correct[:, columns], profile.levels)


def ended_profile(profile: ExitProfile, point: int) -> ExitProfile:
    """Return the exit profile of a network that ends at an exit point of the profile.

    The exit there becomes the last exit, and later exits leave the profile.

    Args:
        profile: Exit profile with a column for the exit point.
        point: Index of the exit point where the network ends.

    Raises:
        ValueError: The profile does not have the exit point.

    Example:
        >>> import numpy as np
        >>> whole = ExitProfile((0,), np.array([[0.9, 1]], dtype=np.float32), np.array([[True, False]]))
        >>> ended_profile(whole, 0).correct
        array([[ True]])
    """
    if point not in profile.points:
        raise ValueError(f"a network ends at exit point {point}; the profile has {profile.points}")
    columns = range(profile.points.index(point) + 1)
    points = profile.points[: len(columns) - 1]
    return ExitProfile(points, profile.confidence[:, columns], profile.correct[:, columns], profile.levels)


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


def separating_thresholds(confidence: Thresholds, levels: Sequence[float] = ()) -> Thresholds:
    """Return the rising thresholds that split confidences (S,) in every possible way.

    If the criterion has levels, see `ConfidenceCriterion.levels`, they are the thresholds.

    The lowest threshold is half the least confidence, so that all S samples exit and a new sample with a much
    lower confidence stays. The highest threshold is 1, at which no sample exits. A sample with a confidence
    of exactly 1 exits at every threshold; the highest threshold then excludes the next lower confidence.

    Example:
        >>> separating_thresholds(np.float32([0.5, 0.25])).tolist()
        [0.125, 0.375, 1.0]
    """
    if levels:
        return np.array(levels, dtype=np.float32)
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
