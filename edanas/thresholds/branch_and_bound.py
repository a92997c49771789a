"""Branch and bound over boxes of thresholds: the least cost at each number of errors, for one set of exits.

A box holds a block of neighbouring thresholds for each exit. Its most lenient corner is a scheme, which is
scored; it also bounds the cost of the box, since costs rise along the network (where one does not, the least
cost of that or any later exit stands in for it). The fewest errors in the box are bounded by letting a sample
leave wherever it is right at some threshold of the block, and pass wherever it is wrong and may. A scheme
with fewer errors than the lenient corner has a sample leave later for each of them, and pays at least the
smallest step in cost for that. A box that these bounds show to be no better than what was found is dropped,
all others are halved along their exits.

Sets of samples are rows of bits, 64 to a word, so that a scheme is a few words' conjunction and their counts.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_ROOT = 8
"""About how many blocks each exit's thresholds are split into at first."""

_AXES = 4
"""Along how many exits a box is halved at once: 16 boxes of one."""

_FIRST = _ROOT**_AXES
"""So many boxes at most at first: with many exits, blocks are larger."""

_CHUNK = 1 << 17
"""Words in a table of bits while boxes are scored: 1 MB, to stay in cache."""


@dataclass(frozen=True)
class Placement:
    """P exits that stand, each with candidate thresholds that hold a scheme for every point of the front.

    Args:
        points: Their exit points.
        thresholds: For each exit, its K candidates; `None` is an exit removed.
        passing: For each exit, (K, S) bool: whom a candidate lets pass; candidates rise.
        correct: (S, P + 1), the last exit included.
        costs: (P + 1,) of a sample that leaves there.
    """

    points: tuple[int, ...]
    thresholds: tuple[tuple[float | None, ...], ...]
    passing: list[Booleans]
    correct: Booleans
    costs: Floats

    @property
    def sizes(self) -> list[int]:
        """How many candidates each exit has."""
        return [len(each) for each in self.passing]


class Incumbents:
    """The best scheme found so far for each number of errors, over all placements.

    Args:
        samples: S.
        exits: The largest number of exits placed.
    """

    def __init__(self, samples: int, exits: int) -> None:
        self.least = np.full(samples + 1, np.inf)
        """(S + 1,) total cost of the cheapest scheme with exactly so many errors."""
        self.upto = self.least.copy()
        """(S + 1,) the same with so many errors or fewer."""
        self.placement = np.full(samples + 1, -1)
        self.at = np.zeros((samples + 1, exits), dtype=np.int64)

    def offer(self, errors: Integers, costs: Floats, placement: int, schemes: Integers) -> None:
        """Take what is better: (n,) errors and total costs of schemes (n, P) by their candidates' numbers."""
        better = np.flatnonzero(costs < self.upto[errors])
        better = better[np.lexsort((costs[better], errors[better]))]
        number, first = np.unique(errors[better], return_index=True)
        chosen = better[first]
        self.least[number], self.placement[number] = costs[chosen], placement
        self.at[number, : schemes.shape[1]] = schemes[chosen]
        self.upto = np.minimum.accumulate(self.least)

    def front(self) -> Integers:
        """The numbers of errors on the front, falling, so that costs rise."""
        before = np.concatenate([[np.inf], self.upto[:-1]])
        return np.flatnonzero(self.least < before)[::-1]


class Scorer:
    """Scores schemes of one placement, each a row of its candidates' numbers, by counting bits.

    Args:
        placement: The exits that stand.
    """

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.tables = [_packed(each) for each in placement.passing]
        wrong = ~placement.correct
        self.right = _packed(placement.correct.T)
        self.wrong_at_first = int(wrong[:, 0].sum())
        # A sample that passes an exit changes the errors where it is right at one of the two exits alone.
        self.lost = _packed((wrong[:, 1:] & ~wrong[:, :-1]).T)
        self.won = _packed((wrong[:, :-1] & ~wrong[:, 1:]).T)

    def relaxed(self, halvings: Sequence[int]) -> list[Words]:
        """Whom each block may let pass: who is wrong at its strictest, who is right at its most lenient."""
        blocks = []
        for table, halving, right in zip(self.tables, halvings, self.right.T[:-1], strict=True):
            low = np.arange(0, table.shape[1], 1 << halving)
            high = np.minimum(low + (1 << halving), table.shape[1]) - 1
            blocks.append((table[:, low] & right[:, None]) | (table[:, high] & ~right[:, None]))
        return blocks

    def errors(self, schemes: Integers, tables: Sequence[Words] | None = None) -> Integers:
        """Errors (n,) of schemes (n, P) in lexicographic order, by columns of `tables` if these are given."""
        found = np.full(len(schemes), self.wrong_at_first)
        for rows, exit_, passed, group in self._passing(schemes, tables or self.tables):
            change = _count(passed & self.lost[:, exit_, None]) - _count(passed & self.won[:, exit_, None])
            found[rows] += change[group]
        return found

    def costs(self, schemes: Integers, costs: Floats) -> Floats:
        """Total cost (n,) of schemes (n, P) in lexicographic order, at (P + 1,) costs of leaving."""
        found = np.full(len(schemes), len(self.placement.correct) * costs[0])
        for rows, exit_, passed, group in self._passing(schemes, self.tables):
            found[rows] += ((costs[exit_ + 1] - costs[exit_]) * _count(passed))[group]
        return found

    def _passing(
        self, schemes: Integers, tables: Sequence[Words]
    ) -> Iterator[tuple[slice, int, Words, Integers]]:
        """Who passes, exit by exit: the schemes' rows, the exit, (W, G) bits, and each row's column in them.

        What neighbouring schemes share at their first exits is computed once.
        """
        size = max(1, _CHUNK // len(self.lost))
        for start in range(0, len(schemes), size):
            rows = slice(start, start + size)
            part = schemes[rows]
            fresh = np.zeros(len(part), dtype=np.bool_)
            fresh[0] = True
            group = np.zeros(len(part), dtype=np.int64)
            passed: Words | None = None
            for exit_, table in enumerate(tables):
                fresh[1:] |= part[1:, exit_] != part[:-1, exit_]
                first = np.flatnonzero(fresh)
                here = table[:, part[first, exit_]]
                passed = here if passed is None else here & passed[:, group[first]]
                group = np.cumsum(fresh) - 1
                yield rows, exit_, passed, group


def search(scorer: Scorer, number: int, found: Incumbents, beam: int) -> bool:
    """Offer the best schemes of a placement, box by box.

    Args:
        scorer: Of the placement.
        number: The placement's, for `found`.
        found: What any placement offered so far; better schemes are entered.
        beam: How many boxes of one size are halved at most; of more, those that promise most.

    Returns:
        Whether no box was given up that might hold a better scheme.
    """
    sizes, costs = scorer.placement.sizes, scorer.placement.costs
    if not sizes:
        nothing = np.zeros((1, 0), dtype=np.int64)
        found.offer(scorer.errors(nothing), scorer.costs(nothing, costs), number, nothing)
        return True
    floor = np.minimum.accumulate(costs[::-1])[::-1]
    halvings, exact = _first_halvings(sizes), True
    boxes = np.indices(_blocks(sizes, halvings)).reshape(len(sizes), -1).T
    while len(boxes):
        corners = boxes << np.array(halvings)
        errors, total = scorer.errors(corners), scorer.costs(corners, costs)
        found.offer(errors, total, number, corners)
        if not any(halvings):
            break
        least = total if (floor == costs).all() else scorer.costs(corners, floor)
        fewest = scorer.errors(boxes, scorer.relaxed(halvings))
        promise = _promise(found.upto, fewest, errors, least, float(np.diff(floor).min()))
        left = np.flatnonzero(promise > 0)
        if len(left) > beam:
            exact = False
            left = left[np.argsort(-promise[left], kind="stable")[:beam]]
        boxes, halvings = _halved(boxes[left], sizes, halvings)
    return exact


def _first_halvings(sizes: Sequence[int]) -> list[int]:
    """How often the blocks of the first boxes can be halved, exit by exit."""
    halvings = [max(0, math.ceil(math.log2(size / _ROOT))) for size in sizes]
    while math.prod(blocks := _blocks(sizes, halvings)) > _FIRST:
        halvings[blocks.index(max(blocks))] += 1
    return halvings


def _blocks(sizes: Sequence[int], halvings: Sequence[int]) -> list[int]:
    """How many blocks of 2 ** halvings candidates each exit has."""
    return [-(-size >> halving) for size, halving in zip(sizes, halvings, strict=True)]


def _promise(upto: Floats, fewest: Integers, errors: Integers, least: Floats, step: float) -> Floats:
    """How much cheaper than what was found a box may be, at the best number of errors: (n,).

    A scheme with k errors, from `fewest` to the lenient corner's `errors`, costs at least
    least + (errors - k) * step. So the largest of upto[k] + k * step is sought among these k.
    """
    tables = [upto + step * np.arange(len(upto))]
    while (width := 1 << (len(tables) - 1)) < int((errors - fewest).max()) + 1:
        last = tables[-1]
        tables.append(np.concatenate([np.maximum(last[:-width], last[width:]), last[-width:]]))
    power = np.log2(errors - fewest + 1).astype(np.int64)
    stacked = np.stack(tables)
    largest = np.maximum(stacked[power, fewest], stacked[power, errors + 1 - (1 << power)])
    return np.asarray(largest - (least + step * errors))


def _halved(boxes: Integers, sizes: Sequence[int], halvings: Sequence[int]) -> tuple[Integers, list[int]]:
    """The boxes' parts in lexicographic order, and how often their blocks can still be halved."""
    finer = list(halvings)
    for exit_ in sorted(range(len(sizes)), key=lambda e: -halvings[e])[:_AXES]:
        if halvings[exit_]:
            finer[exit_] -= 1
            boxes = np.repeat(boxes, 2, axis=0)
            boxes[:, exit_] *= 2
            boxes[1::2, exit_] += 1
            boxes = boxes[boxes[:, exit_] < _blocks(sizes, finer)[exit_]]
    return ordered(boxes, _blocks(sizes, finer)), finer


def ordered(rows: Integers, sizes: Sequence[int]) -> Integers:
    """Rows in lexicographic order: as single numbers, which is faster, where these do not grow too large."""
    if math.prod(sizes) >= 1 << 63:
        return rows[np.lexsort(rows.T[::-1])]
    codes = np.sort(np.ravel_multi_index(tuple(rows.T), sizes))
    return np.stack(np.unravel_index(codes, sizes), axis=1)


def _packed(rows: Booleans) -> Words:
    """(K, S) bool as (W, K) words, the samples' bits one after another."""
    padded = np.zeros((len(rows), -(-rows.shape[1] // 64) * 64), dtype=np.bool_)
    padded[:, : rows.shape[1]] = rows
    return np.ascontiguousarray(np.packbits(padded, axis=1).view(np.uint64).T)


def _count(words: Words) -> Integers:
    """How many bits are set in each column of (W, n)."""
    return np.asarray(np.bitwise_count(words).sum(axis=0, dtype=np.int64))
