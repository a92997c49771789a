"""Local search around the schemes of a front, for better schemes that branch and bound missed."""

import functools
import itertools
from collections.abc import Sequence

import numpy as np

from edanas.thresholds.branch_and_bound import Incumbents, Integers, Scorer, ordered

FEW_EXITS = 5
"""Largest number of exits for which branch and bound misses little.

With more exits, schemes in which a single exit does not have its highest threshold are scored too, and the
neighbours in the local search lie farther away.
"""

_MAX_MOVED_EXITS = 2
"""Largest number of exits at which a neighbour differs from its scheme, with more than `FEW_EXITS` exits."""

_STEPS, _FAR = (1, 3), (1, 3, 9, 27, 81, 243)
"""Distances from a scheme to its neighbours, as numbers of candidate thresholds.

`_STEPS` holds the distances for up to `FEW_EXITS` exits, `_FAR` for more exits.
"""


def offer_single_exits(scorer: Scorer, number: int, incumbents: Incumbents) -> None:
    """Score the schemes in which at most one exit does not have its highest threshold; store the best.

    Args:
        scorer: Scorer of the placement.
        number: Number of the placement in `incumbents`.
        incumbents: The cheapest known scheme for each number of errors; changed in place.
    """
    schemes = _each_alone(scorer.placement.sizes)
    incumbents.offer(scorer.errors(schemes), scorer.costs(schemes, scorer.placement.costs), number, schemes)


def polish(scorers: Sequence[Scorer], incumbents: Incumbents) -> None:
    """Score the neighbours of the Pareto-optimal schemes until no neighbour improves the front.

    Args:
        scorers: Scorers of the placements, in the order of their numbers.
        incumbents: The cheapest known scheme for each number of errors; changed in place.
    """
    tried: set[tuple[int, ...]] = set()
    while True:
        on_front = incumbents.front()
        fresh: dict[int, list[Integers]] = {}
        for errors in on_front[incumbents.placement[on_front] >= 0]:
            number = int(incumbents.placement[errors])
            exits = len(scorers[number].tables)
            if exits and (key := (number, *incumbents.at[errors, :exits].tolist())) not in tried:
                tried.add(key)
                fresh.setdefault(number, []).append(incumbents.at[errors, :exits].copy())
        if not fresh:
            return
        for number, centres in fresh.items():
            neighbours = _neighbours(np.stack(centres), scorers[number].placement.sizes)
            costs = scorers[number].costs(neighbours, scorers[number].placement.costs)
            incumbents.offer(scorers[number].errors(neighbours), costs, number, neighbours)


def _neighbours(centres: Integers, sizes: Sequence[int]) -> Integers:
    """Return the neighbours of some schemes in lexicographic order, without duplicates.

    A neighbour differs from its centre at each exit by the same number of candidate thresholds, or not at
    all.

    Args:
        centres: (n, P) schemes: the index of the candidate threshold at each of P exits.
        sizes: (P,) number of candidate thresholds of each exit.
    """
    lengths = _STEPS if len(sizes) <= FEW_EXITS else _FAR
    steps = np.concatenate([_directions(len(sizes)) * length for length in lengths])
    neighbours = (centres[:, None] + steps).reshape(-1, len(sizes))
    inside = neighbours[((neighbours >= 0) & (neighbours < np.array(sizes))).all(axis=1)]
    rows = ordered(inside, sizes)
    distinct: Integers = rows[np.append(True, (rows[1:] != rows[:-1]).any(axis=1))]
    return distinct


@functools.cache
def _directions(exits: int) -> Integers:
    """Return the directions (n, P) from a scheme with P exits to its neighbours; numbers are -1, 0 or 1."""
    moved = exits if exits <= FEW_EXITS else _MAX_MOVED_EXITS
    rows = [
        [dict(zip(at, signs, strict=True)).get(exit_, 0) for exit_ in range(exits)]
        for count in range(moved + 1)
        for at in itertools.combinations(range(exits), count)
        for signs in itertools.product((-1, 1), repeat=count)
    ]
    return np.array(rows, dtype=np.int64)


def _each_alone(sizes: Sequence[int]) -> Integers:
    """Return the schemes in which at most one exit does not have its highest threshold.

    Args:
        sizes: Number of candidate thresholds of each of P exits.

    Returns:
        (n, P) index of the candidate threshold at each exit, in lexicographic order.
    """
    rows = np.repeat([np.array(sizes) - 1], sum(sizes), axis=0)
    rows[np.arange(len(rows)), np.repeat(np.arange(len(sizes)), sizes)] = np.concatenate(
        [np.arange(size) for size in sizes]
    )
    return ordered(rows, sizes)
