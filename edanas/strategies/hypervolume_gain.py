"""Hypervolume that candidates add to the archive, and the choice of the batch that adds most.

Symbols of shapes: J objectives, f points of the front, n points whose gains are computed.
"""

import numpy as np
import numpy.typing as npt

from edanas.numerics.pareto import hypervolume, non_dominated

Values = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]


def gains(front: Values, points: Values, reference: Values) -> Values:
    """Return the exact hypervolume that each point alone would add to a front, (n,).

    Args:
        front: Objective values of the front, (f, J). Rows that are dominated, not finite or beyond the
            reference point are ignored.
        points: Finite objective values of the points, (n, J).
        reference: The reference point, (J,); points beyond it have gain 0.

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
    """Return the positions of at most `count` points that together add most hypervolume, the best first.

    The choice is greedy: the gain of a point is computed for the front plus all points chosen before. Points
    with gain 0 are not chosen.

    Args:
        front: Objective values of the front, (f, J).
        points: Finite objective values of the points to choose from, (n, J).
        reference: The reference point, (J,).
        count: Largest number of points to choose.

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
    """Return the exclusive hypervolume of each row of `front`, (f,): the volume that no other row dominates.

    Objectives are scaled to the range of the rows. The reference point lies a tenth of the range beyond the
    maxima, so that the ends of a front get large values. With one objective, all values are 0.

    Args:
        front: Objective values, (f, J).
    """
    import moocore

    if front.shape[1] < 2:
        return np.zeros(len(front))
    span = np.ptp(front, axis=0)
    scaled = (front - front.min(axis=0)) / np.where(span > 0, span, 1.0)
    return np.asarray(moocore.hv_contributions(scaled, ref=np.full(front.shape[1], 1.1)), dtype=np.float64)


def _gains_of_two(front: Values, points: Values, reference: Values) -> Values:
    """Return the gains (n,) for two objectives; see `gains`.

    The undominated region is cut into vertical strips. A point adds a rectangle in each strip.
    """
    ordered = np.unique(front, axis=0)
    # Between two neighbouring points, the region below the left point's second value is undominated.
    heights = np.concatenate([[reference[1]], ordered[:, 1]])
    ends = np.concatenate([ordered[:, 0], [reference[0]]])
    upto = np.maximum(ends - points[:, :1], 0.0)
    widths = np.diff(upto, axis=1, prepend=0.0)
    return np.asarray((widths * np.maximum(heights - points[:, 1:], 0.0)).sum(axis=1))
