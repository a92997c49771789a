"""Pareto tools on minimised values: dominance, hypervolume, the best trade-off.

Values are (n, J) floats, one row for each candidate. A row with a value that is not finite belongs to a
failed candidate: it is on no front and adds no volume.
"""

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

MARGIN = 0.01
"""Relative distance of the reference point beyond the worst values, as in the paper's public code."""

RADIUS = 0.125
"""Radius, in normalised objectives, within which trade-offs are compared; as in that code."""

ROUNDING = 1e-9
"""Relative differences below this count as equality."""


def non_dominated(values: Values) -> npt.NDArray[np.bool_]:
    """Return the non-dominated rows of (n, J), as booleans (n,).

    A row dominates another if it is nowhere larger and somewhere smaller. So equal rows have equal results.

    Example:
        >>> non_dominated(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 4.0]]))
        array([ True,  True, False])
    """
    points = np.asarray(values, dtype=np.float64)
    result: npt.NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=1))
    rows = np.flatnonzero(result)
    # From here on a row can only be dominated by rows before it.
    rows = rows[np.lexsort(points[rows].T[::-1])]
    ordered = points[rows]
    result[rows] = _front_of_two(ordered) if points.shape[1] == 2 else _front(ordered)
    return result


def _front_of_two(ordered: Values) -> npt.NDArray[np.bool_]:
    """Return the front of two objectives: of rows in lexicographic order, each new least second value."""
    second = ordered[:, 1]
    best_before = np.concatenate([[np.inf], np.minimum.accumulate(second)[:-1]]) if len(second) else second
    return _like_first_equal(ordered, second < best_before)


def _front(ordered: Values) -> npt.NDArray[np.bool_]:
    on_front = np.zeros(len(ordered), dtype=np.bool_)
    for i, row in enumerate(ordered):
        on_front[i] = not (ordered[:i][on_front[:i]] <= row).all(axis=1).any()
    return _like_first_equal(ordered, on_front)


def _like_first_equal(ordered: Values, on_front: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Copy the result of the first row of each run of equal rows to the rest of the run."""
    first = np.ones(len(ordered), dtype=np.bool_)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return on_front[np.maximum.accumulate(np.where(first, np.arange(len(ordered)), 0))]


def reference_point(values: Values) -> Values:
    """Return a point (J,) that all rows dominate: the maxima of (n, J) plus 1%.

    The margin is relative to the maximum's magnitude, so that a negative maximum (a maximised objective)
    moves outwards too. If the maximum is 0, the margin is relative to the values' range, or else to 1.

    Raises:
        ValueError: No row is finite.

    Example:
        >>> reference_point(np.array([[1.0, -2.0], [0.5, -1.0]]))
        array([ 1.01, -0.99])
    """
    points = _finite(values)
    if not len(points):
        raise ValueError("a reference point needs one finite row of values; found none")
    worst = points.max(axis=0)
    span = np.ptp(points, axis=0)
    scale = np.where(worst != 0, np.abs(worst), np.where(span > 0, span, 1.0))
    return np.asarray(worst + MARGIN * scale, dtype=np.float64)


def hypervolume(values: Values, reference: Values) -> float:
    """Return the volume that (n, J) values dominate within `reference` (J,), in the product of their units.

    Example:
        >>> hypervolume(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([2.0, 2.0]))
        3.0
    """
    import moocore

    points = _finite(values)
    inside = points[(points < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=np.asarray(reference))) if len(inside) else 0.0


def normalised_hypervolume(values: Values, ideal: Values, reference: Values) -> float:
    """Return the dominated share, in [0, 1], of the box from `ideal` (J,) to `reference` (J,).

    A value better than the ideal counts as the ideal. To register every gain, the ideal must be a bound
    (accuracy 1, cost 0), not the best value so far.

    Raises:
        ValueError: The ideal is not smaller than the reference in each objective.

    Example:
        >>> normalised_hypervolume(np.array([[1.0, 1.0]]), np.zeros(2), np.full(2, 2.0))
        0.25
    """
    low, high = np.asarray(ideal, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if not (low < high).all():
        raise ValueError(
            f"ideal {low.tolist()} must be smaller than the reference {high.tolist()} throughout"
        )
    scaled = np.maximum((_finite(values) - low) / (high - low), 0.0)
    return min(1.0, hypervolume(scaled, np.ones(len(low))))


def trade_off(values: Values) -> int:
    """Return the row of (n, J) values with the best trade-off among the non-dominated ones.

    Objectives are normalised to the front's range. A step from a point to a neighbour on the front has a
    sacrifice, the sum of the increases, and a gain, the sum of the decreases. A point's score is its smallest
    ratio of sacrifice to gain; the largest score wins (Rachmawati and Srinivasan, 2009; the rule of the
    paper's public code). Neighbours are the points within 0.125, or the 2J nearest if there are fewer. Of
    equal scores, the smallest first objective wins, then the next objectives decide, then the first row.

    Raises:
        ValueError: No row is finite.

    Example:
        >>> trade_off(np.array([[0.0, 1.0], [0.1, 0.1], [1.0, 0.0]]))
        1
    """
    points = np.asarray(values, dtype=np.float64)
    rows = np.flatnonzero(non_dominated(points))
    if not len(rows):
        raise ValueError("a trade-off needs one finite row of values; found none")
    rows = rows[np.lexsort(points[rows].T[::-1])]
    front, first = np.unique(points[rows], axis=0, return_index=True)
    if len(front) == 1:
        return int(rows[0])
    span = np.ptp(front, axis=0)
    scaled = (front - front.min(axis=0)) / np.where(span > 0, span, 1.0)
    steps = scaled[None] - scaled[:, None]
    sacrifice, gain = np.maximum(steps, 0).sum(axis=2), np.maximum(-steps, 0).sum(axis=2)
    ratio = np.full_like(gain, np.inf)
    np.divide(sacrifice, gain, out=ratio, where=gain > 0)
    distance = np.sqrt((steps**2).sum(axis=2))
    np.fill_diagonal(distance, np.inf)
    enough = min(2 * front.shape[1], len(front) - 1)
    radius = np.maximum(RADIUS, np.partition(distance, enough - 1, axis=1)[:, enough - 1])
    # Rounding must not decide which points are neighbours, nor between equal scores.
    worst = np.where(distance <= radius[:, None] * (1 + ROUNDING), ratio, np.inf).min(axis=1)
    best = np.flatnonzero(worst >= worst.max() * (1 - ROUNDING))[0]
    return int(rows[first[best]])


def _finite(values: Values) -> Values:
    points = np.asarray(values, dtype=np.float64)
    return points[np.isfinite(points).all(axis=1)]
