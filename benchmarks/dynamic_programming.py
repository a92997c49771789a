"""The same front by dynamic programming over exits: slower, and short enough to be trusted."""

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
    """What `threshold_front` finds, always exact and whole.

    What later exits add to errors and cost depends on who is left alone. So after each exit a state is the
    set of samples left, and of the ways to leave just those only the Pareto optimal ones go on. States can
    be as many as combinations of thresholds: two exits and hundreds of samples, or four and some 50.

    Args and errors as `threshold_front`.
    """
    check_profile(profile, costs, exit_points)
    points = profile.points
    sets = [points]
    if removable:
        sizes = range(len(points) + 1)
        sets = [each for size in sizes for each in itertools.combinations(points, size)]
    found: list[tuple[int, float, SelectionScheme]] = []
    for placed in sets:
        leaving = exit_costs(costs, placed, measure).tolist()
        for errors, cost, thresholds in _best(restrict_profile(profile, placed), leaving):
            chosen = dict(zip(placed, thresholds, strict=True))
            scheme = SelectionScheme(tuple(chosen.get(point) for point in range(exit_points)))
            found.append((errors, cost, scheme))
    front = _optimal(found)[::-1]
    return ThresholdFront(
        schemes=tuple(scheme for _, _, scheme in front),
        accuracy=1.0 - np.array([errors for errors, _, _ in front]) / len(profile),
        cost=np.array([cost for _, cost, _ in front]) / len(profile),
        exact=True,
    )


def _best(profile: ExitProfile, leaving: list[float]) -> list[Label]:
    """The Pareto optimal labels of all exits of the profile placed."""
    wrong = [_mask(~right) for right in profile.correct.T]
    states: dict[int, list[Label]] = {_mask(np.ones(len(profile), dtype=np.bool_)): [(0, 0.0, ())]}
    for exit_ in range(len(profile.points)):
        confidence = profile.confidence[:, exit_]
        choices = [(float(t), _mask(confidence >= t)) for t in separating_thresholds(confidence)]
        after: dict[int, list[Label]] = {}
        for left, labels in states.items():
            # Of thresholds that the same samples reach, one is enough.
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
    """Labels by rising errors and falling cost; of equal ones the first."""
    kept: list[tuple[int, float, T]] = []
    for label in sorted(labels, key=lambda label: label[:2]):
        if not kept or label[1] < kept[-1][1]:
            kept.append(label)
    return kept


def _mask(samples: npt.NDArray[np.bool_]) -> int:
    """A set of samples as the bits of one number."""
    return int.from_bytes(np.packbits(samples, bitorder="little").tobytes(), "little")
