"""What a candidate is expected to add to the archive's hypervolume, and the batch that adds most together."""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from edanas.core.pareto import hypervolume, non_dominated

Values = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

DRAWS = 32
"""Normal draws for each candidate where the expectation has no closed form (three objectives or more)."""


def expected_gain(front: Values, mean: Values, deviation: Values, reference: Values) -> Values:
    """The expected hypervolume improvement of each of n candidates, (n,); exact for one and two objectives.

    Two objectives: the region that the front leaves undominated is cut into vertical strips, and in each the
    expectation is a product of two one-dimensional ones (Emmerich et al., 2011; Yang et al., 2019). More:
    the mean over `DRAWS` antithetic draws, the same ones for all candidates.

    Args:
        front: (f, J) values; dominated rows do no harm.
        mean: (n, J) predictions.
        deviation: (n, J) their standard deviations, independent normal; 0 = certain.
        reference: (J,); what lies beyond it adds nothing.
    """
    inside = front[np.isfinite(front).all(axis=1) & (front < reference).all(axis=1)]
    objectives = len(reference)
    if objectives == 1:
        best = inside.min(initial=float(reference[0]))
        return _shortfall(np.array([best]), mean[:, 0], deviation[:, 0])[:, 0]
    if objectives == 2:
        return _two(inside[non_dominated(inside)], mean, deviation, reference)
    return _drawn(inside, mean, deviation, reference)


def choose_gains(
    front: Values, mean: Values, deviation: Values, reference: Values, count: int
) -> tuple[Positions, Values]:
    """At most `count` candidates that add most together, and what each was expected to add when chosen.

    One at a time: the largest expected gain, and then the front has that candidate's mean (the Kriging
    believer of Ginsbourger et al., 2010), so that the next is not a second one of the same. Candidates that
    add nothing are not chosen.
    """
    chosen: list[int] = []
    gains: list[float] = []
    free = np.ones(len(mean), dtype=np.bool_)
    for _ in range(min(count, len(mean))):
        gain = np.where(free, expected_gain(front, mean, deviation, reference), -1.0)
        best = int(gain.argmax())
        if gain[best] <= 0:
            break
        chosen.append(best)
        gains.append(float(gain[best]))
        free[best] = False
        front = np.concatenate([front, mean[best : best + 1]])
    return np.array(chosen, dtype=np.int64), np.array(gains)


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


def _shortfall(limits: Values, mean: Values, deviation: Values) -> Values:
    """E max(0, limit - Y) for Y ~ N(mean, deviation^2): limits (m,), mean (n,) -> (n, m)."""
    ahead = limits[None, :] - mean[:, None]
    spread = deviation[:, None]
    certain = spread <= 0
    z = ahead / np.where(certain, 1.0, spread)
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    uncertain: Values = np.maximum(ahead * ndtr(z) + spread * density, 0.0)
    return np.where(certain, np.maximum(ahead, 0.0), uncertain)


def _two(front: Values, mean: Values, deviation: Values, reference: Values) -> Values:
    ordered = np.unique(front, axis=0)
    # Strip i lies between two neighbours' first values; what is undominated there lies below its height.
    heights = np.concatenate([[reference[1]], ordered[:, 1]])
    ends = np.concatenate([ordered[:, 0], [reference[0]]])
    upto = _shortfall(ends, mean[:, 0], deviation[:, 0])
    widths = np.diff(upto, axis=1, prepend=0.0)
    return np.asarray((widths * _shortfall(heights, mean[:, 1], deviation[:, 1])).sum(axis=1))


def _drawn(front: Values, mean: Values, deviation: Values, reference: Values) -> Values:
    half = np.random.default_rng(0).standard_normal((DRAWS // 2, len(reference)))
    draws = np.concatenate([half, -half]) if deviation.any() else np.zeros((1, len(reference)))
    before = hypervolume(front, reference)
    points = mean[:, None, :] + deviation[:, None, :] * draws
    gains = np.zeros(points.shape[:2])
    # Almost all draws are dominated or out of bounds; only the others are worth a hypervolume.
    beyond = (points >= reference).any(axis=2)
    dominated = np.zeros_like(beyond)
    for row in front:
        dominated |= (row <= points).all(axis=2)
    for at in np.argwhere(~beyond & ~dominated):
        gains[tuple(at)] = hypervolume(np.concatenate([front, points[tuple(at)][None]]), reference) - before
    return np.asarray(gains.mean(axis=1))
