"""Pareto tools on minimised values: dominance, hypervolume, the best trade-off.

Values are (n, J) floats, one row for each candidate. A row that is not finite belongs to a candidate that
failed: it is on no front and adds no volume.
"""

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

MARGIN = 0.01
"""How far the hypervolume's reference point lies beyond the worst values, as in the paper's public code."""

RADIUS = 0.125
"""The neighbourhood, in normalised objectives, within which trade-offs are compared; as in that code."""

ROUNDING = 1e-9
"""Relative differences below this are taken for equality."""


def non_dominated(values: Values) -> npt.NDArray[np.bool_]:
    """Which rows of (n, J) no other row dominates.

    A row dominates another if it is nowhere larger and somewhere smaller; so equal rows stand or fall
    together.
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
    """Two objectives, rows in lexicographic order: on the front is what lowers the second one."""
    second = ordered[:, 1]
    best_before = np.concatenate([[np.inf], np.minimum.accumulate(second)[:-1]]) if len(second) else second
    return _like_first_equal(ordered, second < best_before)


def _front(ordered: Values) -> npt.NDArray[np.bool_]:
    kept = np.zeros(len(ordered), dtype=np.bool_)
    for i, row in enumerate(ordered):
        kept[i] = not (ordered[:i][kept[:i]] <= row).all(axis=1).any()
    return _like_first_equal(ordered, kept)


def _like_first_equal(ordered: Values, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Rows equal to the one before share its fate; `kept` is right for the first of each run of equals."""
    first = np.ones(len(ordered), dtype=np.bool_)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return kept[np.maximum.accumulate(np.where(first, np.arange(len(ordered)), 0))]


def reference_point(values: Values) -> Values:
    """A point (J,) that all rows dominate: 1.01 x the maxima of (n, J).

    The hundredth is of the maximum's magnitude, so that a negative maximum (a maximised objective) moves
    outwards too; where the maximum is 0, it is of the values' range, or of 1.

    Raises:
        ValueError: No row is finite.
    """
    points = _finite(values)
    if not len(points):
        raise ValueError("a reference point needs one finite row of values; found none")
    worst = points.max(axis=0)
    span = np.ptp(points, axis=0)
    scale = np.where(worst != 0, np.abs(worst), np.where(span > 0, span, 1.0))
    return np.asarray(worst + MARGIN * scale, dtype=np.float64)


def hypervolume(values: Values, reference: Values) -> float:
    """The volume that (n, J) values dominate within `reference` (J,), in the product of their units."""
    import moocore

    points = _finite(values)
    inside = points[(points < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=np.asarray(reference))) if len(inside) else 0.0


def normalised_hypervolume(values: Values, ideal: Values, reference: Values) -> float:
    """The dominated share, in [0, 1], of the box from `ideal` (J,) to `reference` (J,).

    A value better than the ideal counts as the ideal: where a run is to show every gain, the ideal must be
    a bound (accuracy 1, cost 0), not the best that was seen so far.

    Raises:
        ValueError: The ideal is not smaller than the reference in each objective.
    """
    low, high = np.asarray(ideal, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if not (low < high).all():
        raise ValueError(
            f"ideal {low.tolist()} must be smaller than the reference {high.tolist()} throughout"
        )
    scaled = np.maximum((_finite(values) - low) / (high - low), 0.0)
    return min(1.0, hypervolume(scaled, np.ones(len(low))))


def trade_off(values: Values) -> int:
    """The row of (n, J) values with the best trade-off among the non-dominated ones.

    Objectives are normalised to the front's range. Going from a point to a neighbour on the front
    sacrifices the sum of what gets worse and gains the sum of what gets better; a point is as good as its
    smallest ratio of sacrifice to gain, and the point with the largest such ratio is chosen: there every
    way to go costs most for what it brings (Rachmawati and Srinivasan, 2009; the rule of the paper's public
    code). Neighbours are the points within 0.125, or the 2J nearest where fewer are. Of equals, the
    smallest in the first objective is taken, then in the next ones, then the first row.

    Raises:
        ValueError: No row is finite.
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
    # Rounding must not decide who is a neighbour, nor between points that are equally good.
    worst = np.where(distance <= radius[:, None] * (1 + ROUNDING), ratio, np.inf).min(axis=1)
    best = np.flatnonzero(worst >= worst.max() * (1 - ROUNDING))[0]
    return int(rows[first[best]])


def _finite(values: Values) -> Values:
    points = np.asarray(values, dtype=np.float64)
    return points[np.isfinite(points).all(axis=1)]
