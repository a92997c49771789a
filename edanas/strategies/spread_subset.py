"""Choice of a batch: the best candidates, spread along the front."""

import numpy as np
import numpy.typing as npt

from edanas.numerics.pareto import non_dominated

Values = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]


def choose_spread(front: Values, pool: Values, count: int) -> Positions:
    """Return the positions in `pool` of at most `count` candidates, ascending.

    Non-dominated layers of the pool come first. Of the layer that exceeds `count`, the best in each objective
    are chosen, then candidates whose second objective spreads evenly along the front. (Even gaps alone never
    reach beyond the front's ends: a search whose initial archive lacks the extremes would not find them.)

    Args:
        front: (f, J) values of the archive's front.
        pool: (n, J) finite predictions.
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
    """Return the positions of `count` numbers in `pool` (n,) that make the gaps, with `fixed`, most equal.

    The measure is the standard deviation of the gaps (the paper's public code runs a small genetic algorithm
    here). Numbers are added one at a time, each with the smallest deviation. Then the best exchange of one
    number for another follows, as long as it reduces the deviation. The result is a local optimum, without
    randomness.

    Args:
        fixed: (f,) numbers that are part of the set, in any order.
        pool: (n,) numbers to choose from.
        count: Number of choices; if the pool is not larger, all are chosen.

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
        # Sums in another order differ in their last bits: such exchanges would never end.
        if not trials.min() < deviation * (1 - 1e-9):
            return np.sort(np.array(chosen, dtype=np.int64))
        out, new = divmod(int(trials.argmin()), len(free))
        chosen[out] = int(free[new])
        deviation = float(trials.min())


def _deviations(bases: Values, added: Values) -> Values:
    """Return the gaps' standard deviations of each of (b, m) rows with each of (a,) numbers, (b * a,)."""
    rows = np.repeat(bases, len(added), axis=0)
    rows = np.concatenate([rows, np.tile(added, len(bases))[:, None]], axis=1)
    rows.sort(axis=1)
    gaps = np.diff(rows, axis=1)
    return np.asarray(gaps.std(axis=1) if gaps.shape[1] else np.zeros(len(rows)))
