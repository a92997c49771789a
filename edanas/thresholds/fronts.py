"""Selection schemes over continuous thresholds that are Pareto optimal in accuracy and multiply-adds."""

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
"""Boxes halved at most = this / (words of 64 samples)³: with 4 exits all that are open, up to 300 samples.

Each exit more leaves an eighth of them."""

_LEAST_BEAM = 100


@dataclass(frozen=True)
class ThresholdFront:
    """Schemes of one backbone that no other dominates, by rising cost.

    Args:
        schemes: F of them, each other in accuracy and cost.
        accuracy: (F,) top-1 on the profile's samples, rising.
        cost: (F,) multiply-adds for a sample on average, rising.
        exact: No scheme was passed over that could be on the front; see `threshold_front`.
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
    """The schemes that are Pareto optimal in accuracy and cost over all thresholds, and all sets of exits.

    Thresholds lie midway between neighbouring confidences of an exit, and are exact in float32. Only those
    are looked at beside which a sample would leave wrongly that some later exit gets right: to let everybody
    else go costs less and errs no more. Their combinations are searched by branch and bound (`boxes`), with
    one front for all sets of exits.

    The front is exact, and says so, as long as no more than `beam` boxes of one size are open at a time.
    By default that holds up to about 270 samples with 4 exits. Above that the most promising boxes are
    followed, and the neighbourhood of what they gave is searched to the end: a thinned grid that is refined
    where it matters. On synthetic profiles that makes an accuracy 0.006% dearer than on the exact front with
    500 samples, and 0.2% with 1,000 (`benchmarks/thresholds.py`); a wider beam costs time and loses less.
    With more than five exits, what each can give alone is tried first.

    Args:
        profile: Every column is an exit that may stand.
        costs: Of the backbone and its heads.
        exit_points: N.
        removable: Exits may be left out. Otherwise all of the profile's stand.
        measure: What costs are: executed MACs or ADA_MACS.
        limit: How many schemes to return at most, 2 or more: of a longer front, the two ends and those that
            add most hypervolume.
        beam: How many boxes are followed at most; `None` is as many as take a fraction of a second.

    Raises:
        ValueError: The profile is empty or does not fit `exit_points`, or limit or beam is too small.
        CostError: The head of one of the profile's exits has no known cost.
    """
    if limit < 2 or (beam is not None and beam < 1):
        raise ValueError(f"limit {limit}, beam {beam}; allowed: a limit of 2 or more, a beam of 1 or more")
    check_profile(profile, costs, exit_points)
    placements = [
        make_placement(profile, points, costs, removable=removable, measure=measure)
        for points in placed_sets(profile, removable=removable, measure=measure)
    ]
    scorers = [Scorer(placement) for placement in placements]
    found = Incumbents(len(profile), len(profile.points))
    width = beam or _beam(len(profile), len(profile.points), len(placements))
    for number, scorer in enumerate(scorers):
        if len(placements[number].points) > FEW_EXITS:
            offer_single_exits(scorer, number, found)
    complete = [search(scorer, number, found, width) for number, scorer in enumerate(scorers)]
    exact = all(complete)
    if not exact:
        polish(scorers, found)
    return _front(found, placements, exit_points, limit, exact=exact)


def placed_sets(profile: ExitProfile, *, removable: bool, measure: Measure) -> list[tuple[int, ...]]:
    """The sets of exit points whose fronts together are the whole front, small sets first.

    ADA_MACS does not count heads that ran in vain, so with it an exit that nobody may take is as good as
    removed, and one set stands for all.
    """
    points = profile.points
    if not removable or measure == "ada":
        return [points]
    sizes = range(len(points) + 1)
    return list(itertools.chain.from_iterable(itertools.combinations(points, size) for size in sizes))


def make_placement(
    profile: ExitProfile, points: tuple[int, ...], costs: Costs, *, removable: bool, measure: Measure
) -> Placement:
    """The exits at `points` with their candidate thresholds and the samples that pass these."""
    kept = restrict_profile(profile, points)
    leaving = exit_costs(costs, points, measure)
    thresholds: list[tuple[float | None, ...]] = []
    passing: list[Booleans] = []
    for exit_, confidence in enumerate(kept.confidence[:, :-1].T):
        level = np.unique(confidence, return_inverse=True)[1]
        values: list[float | None] = [float(each) for each in separating_thresholds(confidence)]
        if removable:
            # Nobody leaves: dearer than without the exit, or just the same.
            values[int(level.max()) + 1 :] = [None] if measure == "ada" else []
        worth = _useful_thresholds(kept.correct[:, exit_:], level, leaving[exit_:])
        at = worth[worth < len(values)]
        thresholds.append(tuple(values[i] for i in at))
        passing.append(level < at[:, None])
    return Placement(points, tuple(thresholds), passing, kept.correct, leaving)


def _useful_thresholds(correct: Booleans, level: Integers, leaving: Floats) -> Integers:
    """Numbers of an exit's separating thresholds that may be on a front, rising.

    A threshold is not, if everybody at the next lower confidence may leave too at no greater cost and with no
    more errors, whatever the other exits do.

    Args:
        correct: (S, exits from this one on).
        level: (S,) the rank of the confidence.
        leaving: (exits from this one on,) costs.
    """
    if leaving[0] > leaving[1:].min():
        return np.arange(level.max() + 2)
    risky = ~correct[:, 0] & correct[:, 1:].any(axis=1)
    return np.append(0, np.unique(level[risky]) + 1)


def _beam(samples: int, exits: int, placements: int) -> int:
    words = -(-samples // 64)
    work = _WORK >> 3 * max(0, exits - 4)
    return max(_LEAST_BEAM, work // words**3) * 16 // max(16, placements)


def _front(
    found: Incumbents, placements: list[Placement], exit_points: int, limit: int, *, exact: bool
) -> ThresholdFront:
    errors = found.front()
    accuracy = 1.0 - errors / (len(found.least) - 1)
    cost = found.least[errors] / (len(found.least) - 1)
    kept = _thin_front(accuracy, cost, limit)
    schemes = []
    for number in errors[kept]:
        placement = placements[found.placement[number]]
        chosen = {
            point: values[i]
            for point, values, i in zip(
                placement.points, placement.thresholds, found.at[number], strict=False
            )
        }
        schemes.append(SelectionScheme(tuple(chosen.get(point) for point in range(exit_points))))
    return ThresholdFront(tuple(schemes), accuracy[kept], cost[kept], exact)


def _thin_front(accuracy: Floats, cost: Floats, limit: int) -> Integers:
    """At most `limit` rows of a front by rising cost: what adds least hypervolume is left out, one by one."""
    kept = np.arange(len(cost))
    while len(kept) > limit:
        gain = np.diff(accuracy[kept])[:-1] * np.diff(cost[kept])[1:]
        kept = np.delete(kept, 1 + int(gain.argmin()))
    return kept


def check_profile(profile: ExitProfile, costs: Costs, exit_points: int) -> None:
    """Refuse a profile that is empty, or of more exit points than costs are known for.

    Raises:
        ValueError: It is.
    """
    if not len(profile):
        raise ValueError("an exit profile without samples has no front")
    if len(costs.heads) != exit_points or (profile.points and profile.points[-1] >= exit_points):
        raise ValueError(
            f"{exit_points} exit points, but costs of {len(costs.heads)} and a profile of {profile.points}"
        )
