"""Branch and bound over boxes of thresholds: the least cost at each number of errors, for one set of exits.

A box holds a block of neighbouring thresholds for each exit. Its most lenient corner is a scheme, which is
scored. That corner also bounds the cost of the box, because costs rise along the network. Where the cost of
an exit does not rise, the least cost of that or any later exit replaces it.

The number of errors in a box has an optimistic bound: each sample exits wherever some threshold of the block
makes it exit correctly, and stays wherever it is wrong and some threshold lets it stay. A scheme with fewer
errors than the lenient corner must let one sample exit later for each of them, which costs at least the
smallest step in cost. Boxes that cannot improve on the best known schemes are dropped; all others are halved
along their exits.

Sets of samples are rows of bits, 64 to a word. Scoring a scheme takes a few conjunctions of words, and bit
counts.
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
"""Approximate number of blocks into which the thresholds of each exit are split at first."""

_AXES = 4
"""Number of exits along which a box is halved at once: one box gives up to 16."""

_FIRST = _ROOT**_AXES
"""Maximum number of boxes at first; with many exits, blocks are larger."""

_CHUNK = 1 << 17
"""Words in a table of bits while boxes are scored: 1 MB, to stay in cache."""


@dataclass(frozen=True)
class Placement:
    """A set of P placed exits with candidate thresholds that contain every scheme of the front.

    Args:
        points: Their exit points.
        thresholds: For each exit, its K candidates; `None` removes the exit.
        passing: For each exit, (K, S) bool: samples that do not exit with a candidate; candidates rise.
        correct: (S, P + 1), the last exit included.
        costs: (P + 1,) costs of a sample that exits there.
    """

    points: tuple[int, ...]
    thresholds: tuple[tuple[float | None, ...], ...]
    passing: list[Booleans]
    correct: Booleans
    costs: Floats

    @property
    def sizes(self) -> list[int]:
        """Number of candidates of each exit."""
        return [len(each) for each in self.passing]


class Incumbents:
    """The best known scheme for each number of errors, over all placements.

    Args:
        samples: S.
        exits: The largest number of placed exits.
    """

    def __init__(self, samples: int, exits: int) -> None:
        self.least = np.full(samples + 1, np.inf)
        """(S + 1,) total cost of the cheapest scheme with exactly that many errors."""
        self.upto = self.least.copy()
        """(S + 1,) total cost of the cheapest scheme with that many errors or fewer."""
        self.placement = np.full(samples + 1, -1)
        self.at = np.zeros((samples + 1, exits), dtype=np.int64)

    def offer(self, errors: Integers, costs: Floats, placement: int, schemes: Integers) -> None:
        """Keep the schemes that improve on the best known ones.

        Args:
            errors: (n,) numbers of errors.
            costs: (n,) total costs.
            placement: The number of the placement.
            schemes: (n, P) numbers of the candidates.
        """
        better = np.flatnonzero(costs < self.upto[errors])
        better = better[np.lexsort((costs[better], errors[better]))]
        number, first = np.unique(errors[better], return_index=True)
        chosen = better[first]
        self.least[number], self.placement[number] = costs[chosen], placement
        self.at[number, : schemes.shape[1]] = schemes[chosen]
        self.upto = np.minimum.accumulate(self.least)

    def front(self) -> Integers:
        """Return the numbers of errors on the front, falling, so that costs rise."""
        before = np.concatenate([[np.inf], self.upto[:-1]])
        return np.flatnonzero(self.least < before)[::-1]


class Scorer:
    """Scores the schemes of one placement by counting bits; a scheme is a row of candidate numbers.

    Args:
        placement: The placed exits.
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
        """Return, for each block, the samples that stay in the optimistic bound.

        They are the wrong samples at its strictest candidate and the correct ones at its most lenient.
        """
        blocks = []
        for table, halving, right in zip(self.tables, halvings, self.right.T[:-1], strict=True):
            low = np.arange(0, table.shape[1], 1 << halving)
            high = np.minimum(low + (1 << halving), table.shape[1]) - 1
            blocks.append((table[:, low] & right[:, None]) | (table[:, high] & ~right[:, None]))
        return blocks

    def errors(self, schemes: Integers, tables: Sequence[Words] | None = None) -> Integers:
        """Return the errors (n,) of schemes (n, P) in lexicographic order.

        Args:
            schemes: Column numbers of `tables`.
            tables: Bits by exit; by default those of the candidates.
        """
        errors = np.full(len(schemes), self.wrong_at_first)
        for rows, exit_, passed, group in self._passing(schemes, tables or self.tables):
            change = _count(passed & self.lost[:, exit_, None]) - _count(passed & self.won[:, exit_, None])
            errors[rows] += change[group]
        return errors

    def costs(self, schemes: Integers, costs: Floats) -> Floats:
        """Return the total costs (n,) of schemes (n, P) in lexicographic order, from exit costs (P + 1,)."""
        totals = np.full(len(schemes), len(self.placement.correct) * costs[0])
        for rows, exit_, passed, group in self._passing(schemes, self.tables):
            totals[rows] += ((costs[exit_ + 1] - costs[exit_]) * _count(passed))[group]
        return totals

    def _passing(
        self, schemes: Integers, tables: Sequence[Words]
    ) -> Iterator[tuple[slice, int, Words, Integers]]:
        """Yield, for each exit, the samples that stay.

        Each item has the rows of the schemes, the exit, bits (W, G), and the column of each row in these
        bits. The bits of first exits that neighbouring schemes share are computed once.
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
                stays = table[:, part[first, exit_]]
                passed = stays if passed is None else stays & passed[:, group[first]]
                group = np.cumsum(fresh) - 1
                yield rows, exit_, passed, group


def search(scorer: Scorer, number: int, incumbents: Incumbents, beam: int) -> bool:
    """Search one placement box by box, and offer its best schemes.

    Args:
        scorer: The scorer of the placement.
        number: The number of the placement, for `incumbents`.
        incumbents: The best schemes of all placements so far; better schemes are entered.
        beam: The most boxes of one size that are halved; of more, the most promising ones.

    Returns:
        Whether the search is exact: no box was dropped that might hold a better scheme.
    """
    sizes, costs = scorer.placement.sizes, scorer.placement.costs
    if not sizes:
        nothing = np.zeros((1, 0), dtype=np.int64)
        incumbents.offer(scorer.errors(nothing), scorer.costs(nothing, costs), number, nothing)
        return True
    floor = np.minimum.accumulate(costs[::-1])[::-1]
    halvings, exact = _first_halvings(sizes), True
    boxes = np.indices(_blocks(sizes, halvings)).reshape(len(sizes), -1).T
    while len(boxes):
        corners = boxes << np.array(halvings)
        errors, total = scorer.errors(corners), scorer.costs(corners, costs)
        incumbents.offer(errors, total, number, corners)
        if not any(halvings):
            break
        least = total if (floor == costs).all() else scorer.costs(corners, floor)
        fewest = scorer.errors(boxes, scorer.relaxed(halvings))
        promise = _promise(incumbents.upto, fewest, errors, least, float(np.diff(floor).min()))
        open_boxes = np.flatnonzero(promise > 0)
        if len(open_boxes) > beam:
            exact = False
            open_boxes = open_boxes[np.argsort(-promise[open_boxes], kind="stable")[:beam]]
        boxes, halvings = _halved(boxes[open_boxes], sizes, halvings)
    return exact


def _first_halvings(sizes: Sequence[int]) -> list[int]:
    """Return, for each exit, how often the blocks of the first boxes can be halved."""
    halvings = [max(0, math.ceil(math.log2(size / _ROOT))) for size in sizes]
    while math.prod(blocks := _blocks(sizes, halvings)) > _FIRST:
        halvings[blocks.index(max(blocks))] += 1
    return halvings


def _blocks(sizes: Sequence[int], halvings: Sequence[int]) -> list[int]:
    """Return, for each exit, the number of blocks of 2 ** halvings candidates."""
    return [-(-size >> halving) for size, halving in zip(sizes, halvings, strict=True)]


def _promise(upto: Floats, fewest: Integers, errors: Integers, least: Floats, step: float) -> Floats:
    """Return a bound (n,) on how much cheaper than the best known schemes a box can be.

    A scheme with k errors, from `fewest` to the lenient corner's `errors`, costs at least least + (errors -
    k) * step. Therefore the bound takes the largest of upto[k] + k * step over these k.
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
    """Return the halves of the boxes in lexicographic order, and how often blocks can still be halved."""
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
    """Sort rows lexicographically; as single numbers, which is faster, where these fit 63 bits."""
    if math.prod(sizes) >= 1 << 63:
        return rows[np.lexsort(rows.T[::-1])]
    codes = np.sort(np.ravel_multi_index(tuple(rows.T), sizes))
    return np.stack(np.unravel_index(codes, sizes), axis=1)


def _packed(rows: Booleans) -> Words:
    """Pack (K, S) bool into (W, K) words, the bits of the samples in sequence."""
    padded = np.zeros((len(rows), -(-rows.shape[1] // 64) * 64), dtype=np.bool_)
    padded[:, : rows.shape[1]] = rows
    return np.ascontiguousarray(np.packbits(padded, axis=1).view(np.uint64).T)


def _count(words: Words) -> Integers:
    """Count the set bits in each column of (W, n)."""
    return np.asarray(np.bitwise_count(words).sum(axis=0, dtype=np.int64))
