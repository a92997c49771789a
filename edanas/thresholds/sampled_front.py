"""The whole trade-off of one network's thresholds, also where samples are very many."""

import numpy as np

from edanas.core.costs import Costs, executed_per_exit
from edanas.core.types import ExitProfile
from edanas.numerics.pareto import non_dominated
from edanas.thresholds.fronts import ThresholdFront, threshold_front
from edanas.thresholds.profiles import exit_columns

_MOST = 10_000
"""Samples that a front is searched on; of more, so many are drawn."""

_KEPT = 400


def sampled_threshold_front(
    profile: ExitProfile, costs: Costs, exit_points: int, *, removable: bool = True
) -> ThresholdFront:
    """`threshold_front`, whole; its accuracies and costs are those of all samples.

    With more than 10,000 samples, schemes are found on 10,000 of them (equally spaced) and scored on all.

    Raises:
        ValueError, CostError: As `threshold_front`.
    """
    if len(profile) <= _MOST:
        return threshold_front(profile, costs, exit_points, removable=removable, limit=len(profile) + 2)
    some = np.linspace(0, len(profile) - 1, _MOST).astype(np.int64)
    part = ExitProfile(profile.points, profile.confidence[some], profile.correct[some])
    schemes = threshold_front(part, costs, exit_points, removable=removable, limit=_KEPT).schemes
    columns = np.array([*profile.points, exit_points])
    accuracy, cost = [], []
    for scheme in schemes:
        left = exit_columns(profile, scheme)
        accuracy.append(profile.correct[np.arange(len(profile)), left].mean())
        cost.append(executed_per_exit(costs, scheme)[columns[left]].mean())
    kept = non_dominated(np.column_stack([cost, -np.array(accuracy)]))
    at = np.flatnonzero(kept)
    at = at[np.argsort(np.array(cost)[at], kind="stable")]
    return ThresholdFront(
        tuple(schemes[i] for i in at), np.array(accuracy)[at], np.array(cost)[at], exact=False
    )
