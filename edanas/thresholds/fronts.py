"""Pareto-optimal selection schemes over continuous thresholds, in accuracy and multiply-adds."""

import itertools
from dataclasses import dataclass

import numpy as np

from edanas.core.costs import Costs
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.branch_and_bound import (
    Booleans,
    Floats,
    Incumbents,
    Integers,
    Placement,
    Scorer,
    search,
)
from edanas.thresholds.local_search import FEW_EXITS, offer_single_exits, polish
from edanas.thresholds.schemes import Measure, exit_costs, restrict_profile, separating_thresholds

_WORK = 6_400_000
"""Work limit: a default beam is this / (words of 64 samples)³; each exit beyond four divides it by eight.

With 4 exits and up to 300 samples, that holds all open boxes.
"""

_LEAST_BEAM = 100


@dataclass(frozen=True)
class ThresholdFront:
    """The non-dominated selection schemes of one backbone, by rising cost.

    Args:
        schemes: F schemes that differ in accuracy and cost.
        accuracy: (F,) top-1 on the samples of the profile, rising.
        cost: (F,) multiply-adds per sample on average, rising.
        exact: Whether every scheme of the true front is here; see `threshold_front`.
    """

    schemes: tuple[SelectionScheme, ...]
    accuracy: Floats
    cost: Floats
    exact: bool

    def __len__(self) -> int:
        return len(self.schemes)


def threshold_front(
    profile: ExitProfile,
    costs: Costs,
    exit_points: int,
    *,
    removable: bool = True,
    measure: Measure = "executed",
    limit: int = 200,
    beam: int | None = None,
) -> ThresholdFront:
    """Return the Pareto-optimal schemes in accuracy and cost, over all thresholds and all sets of exits.

    Thresholds lie midway between neighbouring confidences of an exit, and are exact in float32. A threshold
    is a candidate only if just below it lies a sample that would exit wrongly and that some later exit
    classifies correctly. Otherwise a lower threshold costs less and makes no more errors. Combinations are
    searched by branch and bound, with one front for all sets of exits; see
    `edanas.thresholds.branch_and_bound`.

    The front is exact as long as no more than `beam` boxes of one size are open at a time. By default that
    holds up to about 270 samples with 4 exits. Beyond that, the most promising boxes are followed, and a
    local search completes their schemes. On synthetic profiles, reaching an accuracy then costs 0.006% more
    than on the exact front with 500 samples, and 0.2% with 1,000 (`benchmarks/thresholds.py`). A wider beam
    costs time and loses less. With more than five exits, schemes that vary one exit alone are tried first.

    Args:
        profile: Every column is an exit that may be placed.
        costs: Costs of the backbone and its heads.
        exit_points: N.
        removable: Whether exits may be left out; otherwise all exits of the profile are placed.
        measure: The cost: executed MACs or ADA_MACS.
        limit: The most schemes to return, 2 or more: of a longer front, the two ends and those that add most
            hypervolume.
        beam: The most boxes to follow; `None` for as many as take a fraction of a second.

    Raises:
        ValueError: The profile is empty or does not fit `exit_points`, or limit or beam is too small.
        CostError: The head of one of the profile's exits has no known cost.

    Example:
        >>> import numpy as np
        >>> correct = np.array([[True, True], [False, True]])
        >>> profile = ExitProfile((0,), np.array([[0.9, 1], [0.2, 1]], dtype=np.float32), correct)
        >>> front = threshold_front(profile, Costs((10, 10), (1,), 1), 1)
        >>> front.accuracy.tolist(), front.cost.tolist()
        ([0.5, 1.0], [11.0, 16.5])
    """
    if limit < 2 or (beam is not None and beam < 1):
        raise ValueError(f"limit {limit}, beam {beam}; allowed: a limit of 2 or more, a beam of 1 or more")
    check_profile(profile, costs, exit_points)
    placements = [
        make_placement(profile, points, costs, removable=removable, measure=measure)
        for points in placed_sets(profile, removable=removable, measure=measure)
    ]
    scorers = [Scorer(placement) for placement in placements]
    incumbents = Incumbents(len(profile), len(profile.points))
    width = beam or _beam(len(profile), len(profile.points), len(placements))
    for number, scorer in enumerate(scorers):
        if len(placements[number].points) > FEW_EXITS:
            offer_single_exits(scorer, number, incumbents)
    complete = [search(scorer, number, incumbents, width) for number, scorer in enumerate(scorers)]
    exact = all(complete)
    if not exact:
        polish(scorers, incumbents)
    return _front(incumbents, placements, exit_points, limit, exact=exact)


def placed_sets(profile: ExitProfile, *, removable: bool, measure: Measure) -> list[tuple[int, ...]]:
    """Return the sets of exit points whose fronts together form the whole front, small sets first.

    ADA_MACS does not count heads at which a sample did not exit. With it, an exit that never fires equals a
    removed one, and one set covers all.
    """
    points = profile.points
    if not removable or measure == "ada":
        return [points]
    sizes = range(len(points) + 1)
    return list(itertools.chain.from_iterable(itertools.combinations(points, size) for size in sizes))


def make_placement(
    profile: ExitProfile, points: tuple[int, ...], costs: Costs, *, removable: bool, measure: Measure
) -> Placement:
    """Return the exits at `points` with their candidate thresholds and the samples that stay at each."""
    placed_profile = restrict_profile(profile, points)
    costs_by_exit = exit_costs(costs, points, measure)
    thresholds: list[tuple[float | None, ...]] = []
    passing: list[Booleans] = []
    for exit_, confidence in enumerate(placed_profile.confidence[:, :-1].T):
        level = np.unique(confidence, return_inverse=True)[1]
        values: list[float | None] = [float(each) for each in separating_thresholds(confidence)]
        if removable:
            # An exit that never fires costs as much as no exit, or more.
            values[int(level.max()) + 1 :] = [None] if measure == "ada" else []
        useful = _useful_thresholds(placed_profile.correct[:, exit_:], level, costs_by_exit[exit_:])
        at = useful[useful < len(values)]
        thresholds.append(tuple(values[i] for i in at))
        passing.append(level < at[:, None])
    return Placement(points, tuple(thresholds), passing, placed_profile.correct, costs_by_exit)


def _useful_thresholds(correct: Booleans, level: Integers, leaving: Floats) -> Integers:
    """Return the numbers of an exit's separating thresholds that may be on a front, rising.

    A threshold is not useful if the samples at the next lower confidence can exit too, without more cost or
    errors, whatever the other exits do.

    Args:
        correct: (S, exits from this one on).
        level: (S,) ranks of the confidences.
        leaving: (exits from this one on,) costs.
    """
    if leaving[0] > leaving[1:].min():
        return np.arange(level.max() + 2)
    risky = ~correct[:, 0] & correct[:, 1:].any(axis=1)
    return np.append(0, np.unique(level[risky]) + 1)


def _beam(samples: int, exits: int, placements: int) -> int:
    """Return the default beam, which takes a fraction of a second."""
    words = -(-samples // 64)
    work = _WORK >> 3 * max(0, exits - 4)
    return max(_LEAST_BEAM, work // words**3) * 16 // max(16, placements)


def _front(
    incumbents: Incumbents, placements: list[Placement], exit_points: int, limit: int, *, exact: bool
) -> ThresholdFront:
    """Return the front of the best known schemes."""
    errors = incumbents.front()
    accuracy = 1.0 - errors / (len(incumbents.least) - 1)
    cost = incumbents.least[errors] / (len(incumbents.least) - 1)
    rows = _thin_front(accuracy, cost, limit)
    schemes = []
    for number in errors[rows]:
        placement = placements[incumbents.placement[number]]
        chosen = {
            point: values[i]
            for point, values, i in zip(
                placement.points, placement.thresholds, incumbents.at[number], strict=False
            )
        }
        schemes.append(SelectionScheme(tuple(chosen.get(point) for point in range(exit_points))))
    return ThresholdFront(tuple(schemes), accuracy[rows], cost[rows], exact)


def _thin_front(accuracy: Floats, cost: Floats, limit: int) -> Integers:
    """Return at most `limit` rows of a front by rising cost.

    Rows that add the least hypervolume are removed one by one.
    """
    rows = np.arange(len(cost))
    while len(rows) > limit:
        gain = np.diff(accuracy[rows])[:-1] * np.diff(cost[rows])[1:]
        rows = np.delete(rows, 1 + int(gain.argmin()))
    return rows


def check_profile(profile: ExitProfile, costs: Costs, exit_points: int) -> None:
    """Check that a profile has samples, and that the costs cover its exit points.

    Raises:
        ValueError: It has none, or they do not.
    """
    if not len(profile):
        raise ValueError("an exit profile without samples has no front")
    if len(costs.heads) != exit_points or (profile.points and profile.points[-1] >= exit_points):
        raise ValueError(
            f"{exit_points} exit points, but costs of {len(costs.heads)} and a profile of {profile.points}"
        )
