"""The Pareto front of one network's thresholds, for any number of samples."""

from dataclasses import replace

import numpy as np

from edanas.core.costs import Costs, executed_per_exit
from edanas.core.types import ExitProfile
from edanas.numerics.pareto import non_dominated
from edanas.thresholds.fronts import ThresholdFront, threshold_front
from edanas.thresholds.profiles import exit_columns

_MOST = 10_000
"""Largest number of samples on which schemes are searched."""

_KEPT = 400
"""Largest number of schemes of a front that was searched on a part of the samples."""


def sampled_threshold_front(
    profile: ExitProfile, costs: Costs, exit_points: int, *, removable: bool = True
) -> ThresholdFront:
    """Return the Pareto-optimal schemes in accuracy and executed MACs, scored on all samples of the profile.

    With more than 10,000 samples, the search uses 10,000 samples at equal distances in the profile, and keeps
    at most 400 schemes. Otherwise the front is complete.

    Args:
        profile: See `threshold_front`.
        costs: See `threshold_front`.
        exit_points: See `threshold_front`.
        removable: See `threshold_front`.

    Raises:
        ValueError: See `threshold_front`.
        CostError: See `threshold_front`.
    """
    if len(profile) <= _MOST:
        return threshold_front(profile, costs, exit_points, removable=removable, limit=len(profile) + 2)
    rows = np.linspace(0, len(profile) - 1, _MOST).astype(np.int64)
    part = replace(profile, confidence=profile.confidence[rows], correct=profile.correct[rows])
    schemes = threshold_front(part, costs, exit_points, removable=removable, limit=_KEPT).schemes
    columns = np.array([*profile.points, exit_points])
    accuracy, cost = [], []
    for scheme in schemes:
        columns_of_exit = exit_columns(profile, scheme)
        accuracy.append(profile.correct[np.arange(len(profile)), columns_of_exit].mean())
        cost.append(executed_per_exit(costs, scheme)[columns[columns_of_exit]].mean())
    order = np.flatnonzero(non_dominated(np.column_stack([cost, -np.array(accuracy)])))
    order = order[np.argsort(np.array(cost)[order], kind="stable")]
    return ThresholdFront(
        tuple(schemes[i] for i in order), np.array(accuracy)[order], np.array(cost)[order], exact=False
    )
