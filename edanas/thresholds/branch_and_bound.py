"""Branch and bound over thresholds: the cheapest scheme for each number of errors, for one set of exits.

The candidate thresholds of each exit rise, and are split into blocks of neighbouring thresholds. A box
combines one block of each exit. It contains every scheme that takes a threshold from each of these blocks.
The lenient corner of a box is the scheme with the lowest threshold of each block.

The search scores the lenient corner of every box. No scheme in the box costs less, because the corner lets
samples exit earliest, and costs rise along the network. If an exit costs more than a later exit, the bound on
cost replaces its cost by the least cost of any later exit.

The number of errors in a box has a lower bound. At an exit that classifies a sample correctly, the bound
compares the sample's confidence with the lowest threshold of the block. At an exit that misclassifies the
sample, it compares the confidence with the highest threshold. A scheme with n errors fewer than the lenient
corner lets n samples or more exit later. Each of these n samples costs more than at the corner, at least by
the smallest difference between the costs of two neighbouring exits.

A box is dropped if its bounds exclude an improvement on the best known schemes. All other boxes are halved
along their exits.

A set of samples is stored as bits, 64 to a word. Scoring a scheme takes a few bitwise conjunctions and bit
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
"""Approximate number of blocks of each exit at the start of the search."""

_AXES = 4
"""Largest number of exits along which a box is halved at once; one box becomes up to 16 boxes."""

_FIRST = _ROOT**_AXES
"""Largest number of boxes at the start of the search; with many exits, blocks are larger to keep to it."""

_CHUNK = 1 << 17
"""Number of words in a table of bits while boxes are scored: 1 MB, which fits a CPU's cache."""


@dataclass(frozen=True)
class Placement:
    """A set of P placed exits with the candidate thresholds of each exit, scored on S samples.

    Args:
        points: Exit points of the P exits, ascending.
        thresholds: For each exit, its candidate thresholds, rising. A last candidate of `None` means that no
            sample exits there.
        passing: For each exit, a bool array (T, S) for its T candidates. It is true where a sample does not
            exit at that threshold.
        correct: (S, P + 1) bool, true where an exit classifies a sample correctly; the last column is the
            last exit.
        costs: (P + 1,) cost of a sample that exits at each placed exit and at the last exit.
    """

    points: tuple[int, ...]
    thresholds: tuple[tuple[float | None, ...], ...]
    passing: list[Booleans]
    correct: Booleans
    costs: Floats

    @property
    def sizes(self) -> list[int]:
        """Number of candidate thresholds of each exit."""
        return [len(each) for each in self.passing]


class Incumbents:
    """The cheapest known scheme for each number of errors, over all placements.

    Args:
        samples: Number S of samples; numbers of errors are 0 to S.
        exits: Number of exits of the placement with the most exits.
    """

    def __init__(self, samples: int, exits: int) -> None:
        self.least = np.full(samples + 1, np.inf)
        """(S + 1,) total cost of the cheapest known scheme for each number of errors; infinity for none."""
        self.upto = self.least.copy()
        """(S + 1,) total cost of the cheapest known scheme with at most each number of errors."""
        self.placement = np.full(samples + 1, -1)
        """(S + 1,) number of the placement of each cheapest scheme; -1 for none."""
        self.at = np.zeros((samples + 1, exits), dtype=np.int64)
        """(S + 1, exits) indices of the candidate thresholds of each cheapest scheme."""

    def offer(self, errors: Integers, costs: Floats, placement: int, schemes: Integers) -> None:
        """Store each of n schemes that costs less than all known schemes with as many errors or fewer.

        Args:
            errors: (n,) number of errors of each scheme.
            costs: (n,) total cost of each scheme over all samples.
            placement: Number of the placement to which the schemes belong.
            schemes: (n, P) index of the candidate threshold at each of the P exits.
        """
        better = np.flatnonzero(costs < self.upto[errors])
        better = better[np.lexsort((costs[better], errors[better]))]
        number, first = np.unique(errors[better], return_index=True)
        chosen = better[first]
        self.least[number], self.placement[number] = costs[chosen], placement
        self.at[number, : schemes.shape[1]] = schemes[chosen]
        self.upto = np.minimum.accumulate(self.least)

    def front(self) -> Integers:
        """Return the numbers of errors of the Pareto-optimal schemes in falling order, so that costs rise."""
        before = np.concatenate([[np.inf], self.upto[:-1]])
        return np.flatnonzero(self.least < before)[::-1]


class Scorer:
    """Errors and costs of the schemes of one placement, by counting bits.

    A scheme is a row (P,): the index of the candidate threshold at each of the P exits.

    Args:
        placement: The placed exits with their candidate thresholds.
    """

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.tables = [_packed(each) for each in placement.passing]
        wrong = ~placement.correct
        self.right = _packed(placement.correct.T)
        self.wrong_at_first = int(wrong[:, 0].sum())
        # A sample that passes an exit changes the errors only if one of two neighbouring exits is right.
        self.lost = _packed((wrong[:, 1:] & ~wrong[:, :-1]).T)
        self.won = _packed((wrong[:, :-1] & ~wrong[:, 1:]).T)

    def relaxed(self, halvings: Sequence[int]) -> list[Words]:
        """Return the samples that stay at each block of thresholds in the lower bound on errors.

        A misclassified sample stays if it passes the highest threshold of the block. A correctly classified
        sample stays only if it passes the lowest threshold.

        Args:
            halvings: For each exit, how often a block can be halved until it holds one threshold.

        Returns:
            For each exit, the samples as words of bits, with a column for each block.
        """
        blocks = []
        for table, halving, right in zip(self.tables, halvings, self.right.T[:-1], strict=True):
            low = np.arange(0, table.shape[1], 1 << halving)
            high = np.minimum(low + (1 << halving), table.shape[1]) - 1
            blocks.append((table[:, low] & right[:, None]) | (table[:, high] & ~right[:, None]))
        return blocks

    def errors(self, schemes: Integers, tables: Sequence[Words] | None = None) -> Integers:
        """Return the numbers of errors (n,) of n schemes.

        Args:
            schemes: (n, P) in lexicographic order: the column of `tables` at each exit.
            tables: For each exit, the samples that stay as words of bits. By default the columns are the
                candidate thresholds.
        """
        errors = np.full(len(schemes), self.wrong_at_first)
        for rows, exit_, passed, group in self._passing(schemes, tables or self.tables):
            change = _count(passed & self.lost[:, exit_, None]) - _count(passed & self.won[:, exit_, None])
            errors[rows] += change[group]
        return errors

    def costs(self, schemes: Integers, costs: Floats) -> Floats:
        """Return the total costs (n,) of n schemes over all samples.

        Args:
            schemes: (n, P) in lexicographic order.
            costs: (P + 1,) cost of a sample that exits at each placed exit and at the last exit.
        """
        totals = np.full(len(schemes), len(self.placement.correct) * costs[0])
        for rows, exit_, passed, group in self._passing(schemes, self.tables):
            totals[rows] += ((costs[exit_ + 1] - costs[exit_]) * _count(passed))[group]
        return totals

    def _passing(
        self, schemes: Integers, tables: Sequence[Words]
    ) -> Iterator[tuple[slice, int, Words, Integers]]:
        """Yield the samples that pass each exit under each scheme, for some schemes and one exit at a time.

        Neighbouring schemes with equal thresholds at all exits so far form a group and share one column of
        bits.

        Args:
            schemes: (n, P) in lexicographic order: the column of `tables` at each exit.
            tables: For each exit, the samples that stay as words of bits.

        Yields:
            A slice of the schemes, the index of the exit, the passing samples, and the group of each scheme
            in the slice. The passing samples are words of bits with a column for each group.
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
    """Search one placement box by box, and store its best schemes in `incumbents`.

    Args:
        scorer: Scorer of the placement.
        number: Number of the placement in `incumbents`.
        incumbents: The cheapest known scheme of all placements for each number of errors; changed in place.
        beam: Largest number of boxes of one size to halve. If more boxes are left, only the most promising
            boxes are halved.

    Returns:
        True if the search is exact; false if `beam` made it drop boxes that may contain better schemes.
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
    """Return, for each exit, how often a block of the first boxes can be halved."""
    halvings = [max(0, math.ceil(math.log2(size / _ROOT))) for size in sizes]
    while math.prod(blocks := _blocks(sizes, halvings)) > _FIRST:
        halvings[blocks.index(max(blocks))] += 1
    return halvings


def _blocks(sizes: Sequence[int], halvings: Sequence[int]) -> list[int]:
    """Return, for each exit, the number of blocks if a block holds 2 ** halvings candidate thresholds."""
    return [-(-size >> halving) for size, halving in zip(sizes, halvings, strict=True)]


def _promise(upto: Floats, fewest: Integers, errors: Integers, least: Floats, step: float) -> Floats:
    """Return upper bounds (n,) on the cost that each of n boxes can save against the best known schemes.

    The number of errors k of a scheme in a box lies between `fewest` and `errors`. The scheme costs at least
    least + (errors - k) * step. Therefore it saves at most upto[k] - least - (errors - k) * step, and the
    bound is the largest such saving over all k.

    Args:
        upto: (S + 1,) as `Incumbents.upto`.
        fewest: (n,) lower bound on the errors in each box.
        errors: (n,) errors of each lenient corner.
        least: (n,) lower bound on the cost of each box.
        step: Smallest difference between the costs of neighbouring exits.
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
    """Halve boxes along the exits with the largest blocks.

    Returns:
        The halves of the boxes in lexicographic order and, for each exit, how often its blocks can still be
        halved.
    """
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
    """Return the rows in lexicographic order.

    If all rows fit into integers of 63 bits, the integers are sorted, which is faster.

    Args:
        rows: (n, P) integers, column p from 0 to `sizes[p]` - 1.
        sizes: (P,) number of values of each column.
    """
    if math.prod(sizes) >= 1 << 63:
        return rows[np.lexsort(rows.T[::-1])]
    codes = np.sort(np.ravel_multi_index(tuple(rows.T), sizes))
    return np.stack(np.unravel_index(codes, sizes), axis=1)


def _packed(rows: Booleans) -> Words:
    """Pack T rows (T, S) of bool, one bit for each sample, into columns (W, T) of W words of 64 bits."""
    padded = np.zeros((len(rows), -(-rows.shape[1] // 64) * 64), dtype=np.bool_)
    padded[:, : rows.shape[1]] = rows
    return np.ascontiguousarray(np.packbits(padded, axis=1).view(np.uint64).T)


def _count(words: Words) -> Integers:
    """Return the number of set bits (n,) in each column of words (W, n)."""
    return np.asarray(np.bitwise_count(words).sum(axis=0, dtype=np.int64))
