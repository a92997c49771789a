"""The choice of a batch that consists of the best candidates, spread evenly along the front."""

import numpy as np
import numpy.typing as npt

from edanas.numerics.pareto import non_dominated

Values = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]


def choose_spread(front: Values, pool: Values, count: int) -> Positions:
    """Return the positions in `pool` of at most `count` chosen candidates, in ascending order.

    Whole non-dominated layers of the pool are chosen first. From the first layer that exceeds `count`, the
    best candidate in each objective is chosen, since even gaps alone never reach beyond the ends of the
    front. Then candidates follow whose second objective spreads evenly along the front.

    Args:
        front: Objective values of the archive's front, (f, J).
        pool: Finite predictions for the candidates, (n, J).
        count: Number of candidates to choose.
    """
    along = min(1, pool.shape[1] - 1)
    left = np.arange(len(pool))
    chosen = np.zeros(0, dtype=np.int64)
    while len(left) and len(chosen) < count:
        best = non_dominated(pool[left])
        layer, left = left[best], left[~best]
        if len(layer) > count - len(chosen):
            ends = np.unique(pool[layer].argmin(axis=0))[: count - len(chosen)]
            chosen, layer = np.concatenate([chosen, layer[ends]]), np.delete(layer, ends)
        fixed = np.concatenate([front[:, along], pool[chosen, along]])
        chosen = np.concatenate(
            [chosen, layer[spread_subset(fixed, pool[layer, along], count - len(chosen))]]
        )
    return np.sort(chosen)


def spread_subset(fixed: Values, pool: Values, count: int) -> Positions:
    """Return the positions of `count` numbers in `pool` that fill the gaps between numbers most evenly.

    The gaps are those between neighbours in the sorted union of `fixed` and the chosen numbers. Their
    standard deviation is minimised. Numbers are added one at a time, each with the smallest deviation. Then
    one chosen number is exchanged for another number, as long as an exchange reduces the deviation. The
    result is a local optimum and deterministic. (The paper's public code runs a small genetic algorithm
    instead.)

    Args:
        fixed: Numbers that are always part of the set, in any order, (f,).
        pool: Numbers to choose from, (n,).
        count: Number of numbers to choose; if the pool is not larger, all its numbers are chosen.

    Example:
        >>> spread_subset(np.array([0.0, 4.0]), np.array([0.5, 2.0, 3.9]), 1)
        array([1])
    """
    if not 0 < count < len(pool):
        return np.arange(len(pool) if count > 0 else 0)
    chosen: list[int] = []
    deviation = np.inf
    for _ in range(count):
        free = np.setdiff1d(np.arange(len(pool)), chosen)
        trials = _deviations(np.concatenate([fixed, pool[chosen]])[None], pool[free])
        chosen.append(int(free[trials.argmin()]))
        deviation = float(trials.min())
    while True:
        free = np.setdiff1d(np.arange(len(pool)), chosen)
        without = np.array([[*fixed, *pool[chosen[:i] + chosen[i + 1 :]]] for i in range(count)])
        trials = _deviations(without, pool[free])
        # Sums in another order differ in their last bits; without a margin, exchanges could go on forever.
        if not trials.min() < deviation * (1 - 1e-9):
            return np.sort(np.array(chosen, dtype=np.int64))
        out, new = divmod(int(trials.argmin()), len(free))
        chosen[out] = int(free[new])
        deviation = float(trials.min())


def _deviations(bases: Values, added: Values) -> Values:
    """Return the standard deviation of the gaps for each row of `bases` with each added number, (b * a,).

    Args:
        bases: Rows of m numbers, (b, m).
        added: Numbers to add to a row, one at a time, (a,).
    """
    rows = np.repeat(bases, len(added), axis=0)
    rows = np.concatenate([rows, np.tile(added, len(bases))[:, None]], axis=1)
    rows.sort(axis=1)
    gaps = np.diff(rows, axis=1)
    return np.asarray(gaps.std(axis=1) if gaps.shape[1] else np.zeros(len(rows)))
