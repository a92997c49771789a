"""What candidates add to the archive's hypervolume, and the batch that adds most together."""

import numpy as np
import numpy.typing as npt

from edanas.numerics.pareto import hypervolume, non_dominated

Values = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]


def gains(front: Values, points: Values, reference: Values) -> Values:
    """The hypervolume that each of n points alone would add to a front, (n,); exact.

    Args:
        front: (f, J) values; rows that are dominated, not finite or beyond the reference do no harm.
        points: (n, J) finite values.
        reference: (J,); what lies beyond it adds nothing.
    """
    inside = front[np.isfinite(front).all(axis=1) & (front < reference).all(axis=1)]
    if len(reference) == 2:
        return _gains_of_two(inside[non_dominated(inside)], points, reference)
    before = hypervolume(inside, reference)
    found = np.zeros(len(points))
    # Most points are dominated or out of bounds; only the others are worth a hypervolume.
    hopeful = (points < reference).all(axis=1)
    for row in inside:
        hopeful &= (points < row).any(axis=1)
    for at in np.flatnonzero(hopeful):
        found[at] = hypervolume(np.concatenate([inside, points[[at]]]), reference) - before
    return found


def choose_gains(front: Values, points: Values, reference: Values, count: int) -> Positions:
    """At most `count` points that add most together, the first ones first.

    One at a time, the largest gain: the next one's is measured against the front with those before, so that
    it is no second one of the same. Points that add nothing are not chosen.
    """
    chosen: list[int] = []
    for _ in range(min(count, len(points))):
        found = gains(front, points, reference)
        best = int(found.argmax())
        if found[best] <= 0 or best in chosen:
            break
        chosen.append(best)
        front = np.concatenate([front, points[[best]]])
    return np.array(chosen, dtype=np.int64)


def contributions(front: Values) -> Values:
    """The hypervolume that each row of (f, J) alone adds, (f,), objectives scaled to the rows' range.

    The reference point lies a tenth of the range beyond, so that the ends of a front count among the best.
    With one objective a front is one value: nothing adds more than another.
    """
    import moocore

    if front.shape[1] < 2:
        return np.zeros(len(front))
    span = np.ptp(front, axis=0)
    scaled = (front - front.min(axis=0)) / np.where(span > 0, span, 1.0)
    return np.asarray(moocore.hv_contributions(scaled, ref=np.full(front.shape[1], 1.1)), dtype=np.float64)


def _gains_of_two(front: Values, points: Values, reference: Values) -> Values:
    """What is undominated is cut into vertical strips; a point covers a rectangle in each."""
    ordered = np.unique(front, axis=0)
    # Between two neighbours' first values, what lies below the left one's second is undominated.
    heights = np.concatenate([[reference[1]], ordered[:, 1]])
    ends = np.concatenate([ordered[:, 0], [reference[0]]])
    upto = np.maximum(ends - points[:, :1], 0.0)
    widths = np.diff(upto, axis=1, prepend=0.0)
    return np.asarray((widths * np.maximum(heights - points[:, 1:], 0.0)).sum(axis=1))
