"""Hypervolume that candidates add to the archive, and the batch that adds most."""

import numpy as np
import numpy.typing as npt

from edanas.numerics.pareto import hypervolume, non_dominated

Values = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]


def gains(front: Values, points: Values, reference: Values) -> Values:
    """Return the exact hypervolume that each of n points alone would add to a front, (n,).

    Args:
        front: (f, J) values; rows that are dominated, not finite or beyond the reference are ignored.
        points: (n, J) finite values.
        reference: (J,) points beyond it add nothing.

    Example:
        >>> gains(np.array([[1.0, 1.0]]), np.array([[0.5, 1.5], [1.5, 1.5]]), np.array([2.0, 2.0]))
        array([0.25, 0.  ])
    """
    inside = front[np.isfinite(front).all(axis=1) & (front < reference).all(axis=1)]
    if len(reference) == 2:
        return _gains_of_two(inside[non_dominated(inside)], points, reference)
    before = hypervolume(inside, reference)
    added = np.zeros(len(points))
    # Most points are dominated or out of bounds; the hypervolume is computed for the remaining points only.
    gaining = (points < reference).all(axis=1)
    for row in inside:
        gaining &= (points < row).any(axis=1)
    for at in np.flatnonzero(gaining):
        added[at] = hypervolume(np.concatenate([inside, points[[at]]]), reference) - before
    return added


def choose_gains(front: Values, points: Values, reference: Values, count: int) -> Positions:
    """Return the positions of at most `count` points that add most hypervolume together, the best first.

    The choice is greedy: each gain is measured against the front with the points chosen before. Points that
    add nothing are not chosen.

    Example:
        >>> points = np.array([[0.5, 1.5], [1.5, 0.5], [1.9, 1.9]])
        >>> choose_gains(points[:0], points, np.array([2.0, 2.0]), 3)
        array([0, 1])
    """
    chosen: list[int] = []
    for _ in range(min(count, len(points))):
        added = gains(front, points, reference)
        best = int(added.argmax())
        if added[best] <= 0 or best in chosen:
            break
        chosen.append(best)
        front = np.concatenate([front, points[[best]]])
    return np.array(chosen, dtype=np.int64)


def contributions(front: Values) -> Values:
    """Return the hypervolume that each row of (f, J) alone adds, (f,).

    Objectives are scaled to the rows' range. The reference point lies a tenth of the range beyond the maxima,
    so that the ends of a front rank high. With one objective all contributions are 0.
    """
    import moocore

    if front.shape[1] < 2:
        return np.zeros(len(front))
    span = np.ptp(front, axis=0)
    scaled = (front - front.min(axis=0)) / np.where(span > 0, span, 1.0)
    return np.asarray(moocore.hv_contributions(scaled, ref=np.full(front.shape[1], 1.1)), dtype=np.float64)


def _gains_of_two(front: Values, points: Values, reference: Values) -> Values:
    """Cut the undominated region into vertical strips; a point covers a rectangle in each."""
    ordered = np.unique(front, axis=0)
    # Between the first values of two neighbours, the region below the left one's second value is undominated.
    heights = np.concatenate([[reference[1]], ordered[:, 1]])
    ends = np.concatenate([ordered[:, 0], [reference[0]]])
    upto = np.maximum(ends - points[:, :1], 0.0)
    widths = np.diff(upto, axis=1, prepend=0.0)
    return np.asarray((widths * np.maximum(heights - points[:, 1:], 0.0)).sum(axis=1))
