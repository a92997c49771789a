"""The whole trade-off of one network's thresholds, for any number of samples."""

import numpy as np

from edanas.core.costs import Costs, executed_per_exit
from edanas.core.types import ExitProfile
from edanas.numerics.pareto import non_dominated
from edanas.thresholds.fronts import ThresholdFront, threshold_front
from edanas.thresholds.profiles import exit_columns

_MOST = 10_000
"""Largest number of samples for the search of a front; of more, a sample is taken."""

_KEPT = 400


def sampled_threshold_front(
    profile: ExitProfile, costs: Costs, exit_points: int, *, removable: bool = True
) -> ThresholdFront:
    """Return the whole `threshold_front`; its accuracies and costs are those of all samples.

    With more than 10,000 samples, schemes are searched on 10,000 of them, equally spaced, and scored on all.

    Raises:
        ValueError, CostError: As `threshold_front`.
    """
    if len(profile) <= _MOST:
        return threshold_front(profile, costs, exit_points, removable=removable, limit=len(profile) + 2)
    rows = np.linspace(0, len(profile) - 1, _MOST).astype(np.int64)
    part = ExitProfile(profile.points, profile.confidence[rows], profile.correct[rows])
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
