"""Local search around the front, for schemes that a limited beam misses."""

import functools
import itertools
from collections.abc import Sequence

import numpy as np

from edanas.thresholds.branch_and_bound import Incumbents, Integers, Scorer, ordered

FEW_EXITS = 5
"""With more exits than this, the beam loses much: schemes that vary one exit alone and far neighbours are
tried.
"""

_MAX_MOVED_EXITS = 2
"""The most exits at which a neighbour differs, with more than a few exits."""

_STEPS, _FAR = (1, 3), (1, 3, 9, 27, 81, 243)
"""Distances, in candidates, at which neighbours of a scheme of the front are tried."""


def offer_single_exits(scorer: Scorer, number: int, incumbents: Incumbents) -> None:
    """Offer the schemes of a placement in which one exit has any candidate, and the others are strictest."""
    schemes = _each_alone(scorer.placement.sizes)
    incumbents.offer(scorer.errors(schemes), scorer.costs(schemes, scorer.placement.costs), number, schemes)


def polish(scorers: Sequence[Scorer], incumbents: Incumbents) -> None:
    """Offer neighbours of the schemes on the front, until none of them is better."""
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
    """Return schemes within some steps of the centres (n, P) at every exit, in lexicographic order."""
    lengths = _STEPS if len(sizes) <= FEW_EXITS else _FAR
    steps = np.concatenate([_directions(len(sizes)) * length for length in lengths])
    neighbours = (centres[:, None] + steps).reshape(-1, len(sizes))
    inside = neighbours[((neighbours >= 0) & (neighbours < np.array(sizes))).all(axis=1)]
    rows = ordered(inside, sizes)
    distinct: Integers = rows[np.append(True, (rows[1:] != rows[:-1]).any(axis=1))]
    return distinct


@functools.cache
def _directions(exits: int) -> Integers:
    """Return all directions (n, P) of -1, 0 and 1."""
    moved = exits if exits <= FEW_EXITS else _MAX_MOVED_EXITS
    rows = [
        [dict(zip(at, signs, strict=True)).get(exit_, 0) for exit_ in range(exits)]
        for count in range(moved + 1)
        for at in itertools.combinations(range(exits), count)
        for signs in itertools.product((-1, 1), repeat=count)
    ]
    return np.array(rows, dtype=np.int64)


def _each_alone(sizes: Sequence[int]) -> Integers:
    """Return schemes, ordered, in which one exit has any candidate and the others are strictest."""
    rows = np.repeat([np.array(sizes) - 1], sum(sizes), axis=0)
    rows[np.arange(len(rows)), np.repeat(np.arange(len(sizes)), sizes)] = np.concatenate(
        [np.arange(size) for size in sizes]
    )
    return ordered(rows, sizes)
