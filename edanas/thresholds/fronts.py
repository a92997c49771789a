"""Selection schemes with continuous thresholds that are Pareto-optimal in accuracy and multiply-adds."""

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
"""Limit of the work, from which the default beam follows: `_WORK` / W³ for W words of 64 samples.

Each exit beyond four divides the beam by eight. With 4 exits and up to 300 samples, the beam exceeds the
number of open boxes.
"""

_LEAST_BEAM = 100
"""Smallest default beam, before it is divided among more than 16 sets of exits."""


@dataclass(frozen=True)
class ThresholdFront:
    """The F Pareto-optimal selection schemes of one backbone, in order of rising cost.

    Args:
        schemes: F schemes; no two have equal accuracy or equal cost.
        accuracy: (F,) top-1 accuracy on the samples of the exit profile, rising.
        cost: (F,) multiply-adds per sample on average, rising.
        exact: True if the search was exact, so that no scheme outside the front is better than its schemes.
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

    Thresholds lie midway between neighbouring confidences of an exit, and are exact in float32. The lowest
    threshold is a candidate. Any other threshold is a candidate only if some sample with the next lower
    confidence is wrong at this exit and correct at a later exit. Otherwise a lower threshold costs less and
    makes no more errors. Branch and bound searches the schemes of all sets of exits; see
    `edanas.thresholds.branch_and_bound`.

    The front is exact as long as at most `beam` boxes of one size are open at a time. With the default beam
    and 4 exits, that holds up to about 270 samples. With more samples the search follows the most promising
    boxes, and a local search around the front follows. On synthetic profiles, the schemes then cost 0.006%
    more than equally accurate schemes of the exact front with 500 samples, and 0.2% more with 1,000
    (`benchmarks/thresholds.py`). A wider beam takes longer and comes closer to the exact front. With more
    than five exits, the search begins with schemes in which a single exit does not have its highest
    threshold.

    Args:
        profile: Exit profile of a network; each of its exits may be placed.
        costs: Costs of the backbone and its heads.
        exit_points: Number N of exit points.
        removable: True if schemes may leave out exits of the profile; otherwise they place all of them.
        measure: The cost: `executed` for executed MACs, `ada` for ADA_MACS.
        limit: Largest number of schemes to return, 2 or more. From a longer front, schemes that add the least
            hypervolume are removed; the two ends stay.
        beam: Largest number of boxes to follow, 1 or more. `None`, the default, chooses a number with which
            the search takes a fraction of a second.

    Raises:
        ValueError: The profile has no samples or does not fit `exit_points`, or `limit` or `beam` is too
            small.
        CostError: The cost of the head at one of the profile's exits is not known.

    Example:
        >>> import numpy as np
        >>> correct = np.array([[True, True], [False, True]])
        >>> profile = ExitProfile((0,), np.array([[0.9, 1], [0.2, 1]], dtype=np.float32), correct)
        >>> front = threshold_front(profile, Costs((10, 10), (1,), 1), 1)
        >>> front.accuracy.tolist(), front.cost.tolist()
        ([0.5, 1.0], [11.0, 16.5])
    """
    if limit < 2:
        raise ValueError(f"limit: found {limit}; allowed: 2 schemes or more")
    if beam is not None and beam < 1:
        raise ValueError(f"beam: found {beam}; allowed: 1 box or more")
    check_profile(profile, costs, exit_points)
    placements = [
        make_placement(profile, points, costs, removable=removable, measure=measure)
        for points in placed_sets(profile, costs, removable=removable, measure=measure)
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


def placed_sets(
    profile: ExitProfile, costs: Costs, *, removable: bool, measure: Measure
) -> list[tuple[int, ...]]:
    """Return the sets of exit points that must be searched for the whole front, small sets first.

    ADA_MACS does not count heads at which a sample does not exit. Therefore an exit that never fires costs as
    much as no exit, and the set of all exit points suffices. That does not hold if stages run for an exit
    alone, as the networks of a cascade do.

    Args:
        profile: See `threshold_front`.
        costs: See `threshold_front`.
        removable: See `threshold_front`.
        measure: See `threshold_front`.
    """
    points = profile.points
    if not removable or (measure == "ada" and not costs.image_stages):
        return [points]
    sizes = range(len(points) + 1)
    return list(itertools.chain.from_iterable(itertools.combinations(points, size) for size in sizes))


def make_placement(
    profile: ExitProfile, points: tuple[int, ...], costs: Costs, *, removable: bool, measure: Measure
) -> Placement:
    """Return the placement of exits at `points`, with their candidate thresholds.

    Args:
        profile: See `threshold_front`.
        points: Exit points of the placed exits, ascending.
        costs: See `threshold_front`.
        removable: See `threshold_front`.
        measure: See `threshold_front`.
    """
    placed_profile = restrict_profile(profile, points)
    costs_by_exit = exit_costs(costs, points, measure)
    thresholds: list[tuple[float | None, ...]] = []
    passing: list[Booleans] = []
    for exit_, confidence in enumerate(placed_profile.confidence[:, :-1].T):
        if profile.levels:
            steps = separating_thresholds(confidence, profile.levels)
            thresholds.append(tuple(map(float, steps)))
            passing.append(confidence < steps[:, None])
            continue
        level = np.unique(confidence, return_inverse=True)[1]
        values: list[float | None] = [float(each) for each in separating_thresholds(confidence)]
        if removable:
            # An exit that never fires costs as much as no exit, or more.
            without = measure == "ada" and not costs.image_stages
            values[int(level.max()) + 1 :] = [None] if without else []
        useful = _useful_thresholds(placed_profile.correct[:, exit_:], level, costs_by_exit[exit_:])
        at = useful[useful < len(values)]
        thresholds.append(tuple(values[i] for i in at))
        passing.append(level < at[:, None])
    return Placement(points, tuple(thresholds), passing, placed_profile.correct, costs_by_exit)


def _useful_thresholds(correct: Booleans, level: Integers, leaving: Floats) -> Integers:
    """Return the rising indices of the separating thresholds of an exit that Pareto-optimal schemes may use.

    A threshold is not useful if the samples with the next lower confidence can exit too, without more cost or
    errors under any thresholds of the other exits.

    Args:
        correct: (S, E) bool, true where the exit or one of the E - 1 exits behind it classifies a sample
            correctly.
        level: (S,) rank of each sample's confidence at the exit, from 0; equal confidences have equal ranks.
        leaving: (E,) cost of a sample that exits at the exit and at each exit behind it.
    """
    if leaving[0] > leaving[1:].min():
        return np.arange(level.max() + 2)
    risky = ~correct[:, 0] & correct[:, 1:].any(axis=1)
    return np.append(0, np.unique(level[risky]) + 1)


def _beam(samples: int, exits: int, placements: int) -> int:
    """Return the default beam, with which a search takes a fraction of a second.

    Args:
        samples: Number of samples of the profile.
        exits: Number of exits of the profile.
        placements: Number of sets of exits that are searched.
    """
    words = -(-samples // 64)
    work = _WORK >> 3 * max(0, exits - 4)
    return max(_LEAST_BEAM, work // words**3) * 16 // max(16, placements)


def _front(
    incumbents: Incumbents, placements: list[Placement], exit_points: int, limit: int, *, exact: bool
) -> ThresholdFront:
    """Return the Pareto-optimal schemes among `incumbents`, at most `limit`, as a front."""
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
    """Return the indices of at most `limit` schemes of a front.

    The scheme that adds the least hypervolume is removed until `limit` schemes are left. The two ends stay.

    Args:
        accuracy: (F,) accuracy of each scheme, rising.
        cost: (F,) cost of each scheme, rising.
        limit: Largest number of schemes.
    """
    rows = np.arange(len(cost))
    while len(rows) > limit:
        gain = np.diff(accuracy[rows])[:-1] * np.diff(cost[rows])[1:]
        rows = np.delete(rows, 1 + int(gain.argmin()))
    return rows


def check_profile(profile: ExitProfile, costs: Costs, exit_points: int) -> None:
    """Check that a profile has samples, and that costs and profile fit the number of exit points.

    Raises:
        ValueError: The profile has no samples, the costs are for another number of exit points, or the
            profile has an exit point that does not exist.
    """
    if not len(profile):
        raise ValueError("an exit profile without samples has no front")
    if len(costs.heads) != exit_points:
        raise ValueError(f"costs: found heads of {len(costs.heads)} exit points; allowed: {exit_points}")
    if profile.points and profile.points[-1] >= exit_points:
        raise ValueError(f"profile: found exit point {profile.points[-1]}; allowed: 0 to {exit_points - 1}")
