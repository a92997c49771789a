"""Pareto dominance, hypervolume and the best trade-off, for minimised objective values.

`values` is an array (n, J): one row for each of n candidates, one column for each of J objectives. A row with
a value that is not finite belongs to a failed candidate: it is on no front and adds no volume.
"""

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

MARGIN = 0.01
"""Relative distance from the worst values to the reference point, as in the paper's public code."""

RADIUS = 0.125
"""Radius, in normalised objectives, within which trade-offs are compared, as in the paper's public code."""

ROUNDING = 1e-9
"""Relative differences below this count as equality."""


def non_dominated(values: Values) -> npt.NDArray[np.bool_]:
    """Return a boolean for each row of `values`, (n,): true if no other row dominates the row.

    A row dominates another row if it is larger in no column and smaller in at least one column. Equal rows
    have equal results. A row that is not finite has the result false.

    Example:
        >>> non_dominated(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 4.0]]))
        array([ True,  True, False])
    """
    points = np.asarray(values, dtype=np.float64)
    result: npt.NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=1))
    rows = np.flatnonzero(result)
    # In this order, only earlier rows can dominate a row.
    rows = rows[np.lexsort(points[rows].T[::-1])]
    ordered = points[rows]
    result[rows] = _front_of_two(ordered) if points.shape[1] == 2 else _front(ordered)
    return result


def _front_of_two(ordered: Values) -> npt.NDArray[np.bool_]:
    """Return the non-dominated rows of two objectives, for rows in lexicographic order.

    A row is non-dominated if its second value is smaller than the second values of all rows before it.
    """
    second = ordered[:, 1]
    best_before = np.concatenate([[np.inf], np.minimum.accumulate(second)[:-1]]) if len(second) else second
    return _like_first_equal(ordered, second < best_before)


def _front(ordered: Values) -> npt.NDArray[np.bool_]:
    on_front = np.zeros(len(ordered), dtype=np.bool_)
    for i, row in enumerate(ordered):
        on_front[i] = not (ordered[:i][on_front[:i]] <= row).all(axis=1).any()
    return _like_first_equal(ordered, on_front)


def _like_first_equal(ordered: Values, on_front: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Give all equal rows the result of the first row among them."""
    first = np.ones(len(ordered), dtype=np.bool_)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return on_front[np.maximum.accumulate(np.where(first, np.arange(len(ordered)), 0))]


def reference_point(values: Values) -> Values:
    """Return a point (J,) that all finite rows dominate: the maximum of each column plus 1%.

    The 1% refers to the absolute value of the maximum. A negative maximum, as of a maximised objective, is
    therefore also moved towards worse values. If the maximum is 0, the 1% refers to the range of the column,
    or to 1 if the range is 0.

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
    """Return the volume between the rows of `values` and the point `reference`, (J,).

    The unit is the product of the objectives' units. Rows that do not dominate `reference` add no volume.

    Example:
        >>> hypervolume(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([2.0, 2.0]))
        3.0
    """
    import moocore

    points = _finite(values)
    inside = points[(points < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=np.asarray(reference))) if len(inside) else 0.0


def normalised_hypervolume(values: Values, ideal: Values, reference: Values) -> float:
    """Return the share, in [0, 1], of the box from `ideal` (J,) to `reference` (J,) that `values` dominate.

    A value that is better than `ideal` counts as `ideal`. `ideal` should be a bound (accuracy 1, cost 0): if
    it is the best value so far, further gains do not change the result.

    Raises:
        ValueError: `ideal` is not smaller than `reference` in every objective.

    Example:
        >>> normalised_hypervolume(np.array([[1.0, 1.0]]), np.zeros(2), np.full(2, 2.0))
        0.25
    """
    low, high = np.asarray(ideal, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if not (low < high).all():
        raise ValueError(
            f"ideal: found {low.tolist()}; allowed: smaller than the reference point {high.tolist()} in "
            "every objective"
        )
    scaled = np.maximum((_finite(values) - low) / (high - low), 0.0)
    return min(1.0, hypervolume(scaled, np.ones(len(low))))


def trade_off(values: Values, allowed: npt.NDArray[np.bool_] | None = None) -> int:
    """Return the position of the row of `values` with the best trade-off among the non-dominated rows.

    The rule is that of the paper's public code (Rachmawati and Srinivasan, 2009). Objectives are normalised
    to the range of the front. A step from a point of the front to a neighbour has a sacrifice, the sum of the
    increases, and a gain, the sum of the decreases. The score of a point is its smallest ratio of sacrifice
    to gain, and the largest score wins. Neighbours of a point are all points within the distance 0.125, but
    at least the 2J nearest points. Of equal scores, the smallest first objective wins, then the smallest next
    objective, and so on, then the first row.

    Args:
        values: The objective values.
        allowed: True for the rows that may be returned; equal rows have equal entries. `None`, the default,
            or no non-dominated row among them = all.

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
    # Rounding must not decide which points are neighbours, nor which of two equal scores wins.
    worst = np.where(distance <= radius[:, None] * (1 + ROUNDING), ratio, np.inf).min(axis=1)
    if allowed is not None and allowed[rows[first]].any():
        worst = np.where(allowed[rows[first]], worst, -1.0)
    best = np.flatnonzero(worst >= worst.max() * (1 - ROUNDING))[0]
    return int(rows[first[best]])


def _finite(values: Values) -> Values:
    points = np.asarray(values, dtype=np.float64)
    return points[np.isfinite(points).all(axis=1)]
