"""Threshold fronts by dynamic programming over exits: slow, but short enough to serve as an oracle."""

import itertools
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edanas.core.costs import Costs
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.fronts import ThresholdFront, check_profile
from edanas.thresholds.schemes import Measure, exit_costs, restrict_profile, separating_thresholds

T = TypeVar("T")

Label = tuple[int, float, tuple[float, ...]]
"""Errors and total cost so far, and the thresholds that lead there."""


def threshold_front_dp(
    profile: ExitProfile,
    costs: Costs,
    exit_points: int,
    *,
    removable: bool = True,
    measure: Measure = "executed",
) -> ThresholdFront:
    """Return the front of `threshold_front`, always exact and complete.

    Errors and cost of later exits depend only on the samples that reach them. A state after an exit is
    therefore the set of remaining samples, and each state keeps its Pareto optimal labels. There can be as
    many states as combinations of thresholds, so two exits and hundreds of samples, or four and some 50, are
    feasible.

    Arguments and errors are those of `threshold_front`.
    """
    check_profile(profile, costs, exit_points)
    points = profile.points
    sets = [points]
    if removable:
        sizes = range(len(points) + 1)
        sets = [each for size in sizes for each in itertools.combinations(points, size)]
    schemes: list[tuple[int, float, SelectionScheme]] = []
    for placed in sets:
        leaving = exit_costs(costs, placed, measure).tolist()
        for errors, cost, thresholds in _best(restrict_profile(profile, placed), leaving):
            chosen = dict(zip(placed, thresholds, strict=True))
            scheme = SelectionScheme(tuple(chosen.get(point) for point in range(exit_points)))
            schemes.append((errors, cost, scheme))
    front = _optimal(schemes)[::-1]
    return ThresholdFront(
        schemes=tuple(scheme for _, _, scheme in front),
        accuracy=1.0 - np.array([errors for errors, _, _ in front]) / len(profile),
        cost=np.array([cost for _, cost, _ in front]) / len(profile),
        exact=True,
    )


def _best(profile: ExitProfile, leaving: list[float]) -> list[Label]:
    """Return the Pareto optimal labels with all exits of the profile placed."""
    wrong = [_mask(~right) for right in profile.correct.T]
    states: dict[int, list[Label]] = {_mask(np.ones(len(profile), dtype=np.bool_)): [(0, 0.0, ())]}
    for exit_ in range(len(profile.points)):
        confidence = profile.confidence[:, exit_]
        choices = [(float(t), _mask(confidence >= t)) for t in separating_thresholds(confidence)]
        after: dict[int, list[Label]] = {}
        for left, labels in states.items():
            # Thresholds with the same exiting samples are equivalent.
            for gone, threshold in {left & fires: threshold for threshold, fires in choices}.items():
                errors, cost = (gone & wrong[exit_]).bit_count(), gone.bit_count() * leaving[exit_]
                after.setdefault(left & ~gone, []).extend(
                    (e + errors, c + cost, (*chosen, threshold)) for e, c, chosen in labels
                )
        states = {left: _optimal(labels) for left, labels in after.items()}
    return _optimal(
        [
            (e + (left & wrong[-1]).bit_count(), c + left.bit_count() * leaving[-1], chosen)
            for left, labels in states.items()
            for e, c, chosen in labels
        ]
    )


def _optimal(labels: list[tuple[int, float, T]]) -> list[tuple[int, float, T]]:
    """Return the labels by rising errors and falling cost; of equal ones the first."""
    optimal: list[tuple[int, float, T]] = []
    for label in sorted(labels, key=lambda label: label[:2]):
        if not optimal or label[1] < optimal[-1][1]:
            optimal.append(label)
    return optimal


def _mask(samples: npt.NDArray[np.bool_]) -> int:
    """Return a set of samples as the bits of an integer."""
    return int.from_bytes(np.packbits(samples, bitorder="little").tobytes(), "little")
