"""What boxes may have missed: schemes of one exit alone, and near those that were found."""

import functools
import itertools
from collections.abc import Sequence

import numpy as np

from edanas.thresholds.branch_and_bound import Incumbents, Integers, Scorer, ordered

FEW_EXITS = 5
"""With more exits than these the beam loses much: each exit alone is tried, and neighbours far away."""

_MAX_MOVED_EXITS = 2
"""At how many exits a neighbour differs at most, with more than a few exits."""

_STEPS, _FAR = (1, 3), (1, 3, 9, 27, 81, 243)
"""How many candidates away from a scheme of the front its neighbours are looked for."""


def offer_single_exits(scorer: Scorer, number: int, found: Incumbents) -> None:
    """Offer the schemes of a placement in which one exit has any candidate, and the others are strictest."""
    schemes = _each_alone(scorer.placement.sizes)
    found.offer(scorer.errors(schemes), scorer.costs(schemes, scorer.placement.costs), number, schemes)


def polish(scorers: Sequence[Scorer], found: Incumbents) -> None:
    """Try schemes near those of the front, until none of them is better."""
    tried: set[tuple[int, ...]] = set()
    while True:
        on_front = found.front()
        fresh: dict[int, list[Integers]] = {}
        for errors in on_front[found.placement[on_front] >= 0]:
            number = int(found.placement[errors])
            exits = len(scorers[number].tables)
            if exits and (key := (number, *found.at[errors, :exits].tolist())) not in tried:
                tried.add(key)
                fresh.setdefault(number, []).append(found.at[errors, :exits].copy())
        if not fresh:
            return
        for number, centres in fresh.items():
            near = _neighbours(np.stack(centres), scorers[number].placement.sizes)
            costs = scorers[number].costs(near, scorers[number].placement.costs)
            found.offer(scorers[number].errors(near), costs, number, near)


def _neighbours(centres: Integers, sizes: Sequence[int]) -> Integers:
    """Schemes within some steps of the centres (n, P) at every exit, in lexicographic order."""
    lengths = _STEPS if len(sizes) <= FEW_EXITS else _FAR
    steps = np.concatenate([_directions(len(sizes)) * length for length in lengths])
    near = (centres[:, None] + steps).reshape(-1, len(sizes))
    inside = near[((near >= 0) & (near < np.array(sizes))).all(axis=1)]
    rows = ordered(inside, sizes)
    distinct: Integers = rows[np.append(True, (rows[1:] != rows[:-1]).any(axis=1))]
    return distinct


@functools.cache
def _directions(exits: int) -> Integers:
    """(n, P) of -1, 0 and 1."""
    moved = exits if exits <= FEW_EXITS else _MAX_MOVED_EXITS
    rows = [
        [dict(zip(at, signs, strict=True)).get(exit_, 0) for exit_ in range(exits)]
        for count in range(moved + 1)
        for at in itertools.combinations(range(exits), count)
        for signs in itertools.product((-1, 1), repeat=count)
    ]
    return np.array(rows, dtype=np.int64)


def _each_alone(sizes: Sequence[int]) -> Integers:
    """Schemes in lexicographic order in which one exit has any candidate, and the others are strictest."""
    rows = np.repeat([np.array(sizes) - 1], sum(sizes), axis=0)
    rows[np.arange(len(rows)), np.repeat(np.arange(len(sizes)), sizes)] = np.concatenate(
        [np.arange(size) for size in sizes]
    )
    return ordered(rows, sizes)
