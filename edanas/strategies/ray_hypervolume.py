"""Hypervolume as a mean over rays from the reference point.

The reach of a front along a ray is the distance from the reference point to the border of the dominated
region. With a fixed set of R rays, a front is a vector of R numbers, for any number of points. A regression
can predict this vector, and the hypervolume of the front follows from it.
"""

import math

import numpy as np
import numpy.typing as npt

from edanas.numerics.pareto import reference_point

Values = npt.NDArray[np.float64]

RAYS = 64
"""Number of rays for two objectives, a power of two. Each further objective doubles it, up to a factor 16."""


class Rays:
    """Rays from a reference point, along which the hypervolume of points is estimated (Zhang, Golovin, 2020).

    The hypervolume is a share of the box between the reference point and an opposite corner.

    Args:
        references: Objective values, (n, J), whose maxima determine the reference point; see
            `edanas.numerics.pareto.reference_point`.
        values: Objective values, (m, J), whose minima are the opposite corner of the box.

    Example:
        >>> front = np.array([[0.0, 1.0], [1.0, 0.0]])
        >>> rays = Rays(front, front)
        >>> rays.reach(front).shape
        (64,)
        >>> bool(rays.volume(rays.reach(front)) < rays.volume(rays.reach(front - 0.1)))
        True
    """

    def __init__(self, references: Values, values: Values) -> None:
        self.reference = reference_point(references)
        span = self.reference - values.min(axis=0)
        self._span = np.where(span > 0, span, 1.0)
        self._directions = _directions(len(self.reference))

    def reach(self, points: Values) -> Values:
        """Return the reach of a set of points along each ray: (..., k, J) -> (..., R).

        Args:
            points: Minimised objective values of k points in the last two axes; other axes hold further sets.
        """
        inside = np.maximum(self.reference - points, 0.0) / self._span
        # The axis of objectives comes first, since a minimum over a short last axis is slow.
        columns = np.ascontiguousarray(np.moveaxis(inside, -1, 0))
        reaches = np.zeros((*points.shape[:-2], len(self._directions)))
        for ray, direction in enumerate(self._directions):
            least = columns[0] / direction[0]
            for column, share in zip(columns[1:], direction[1:], strict=True):
                np.minimum(least, column / share, out=least)
            reaches[..., ray] = least.max(axis=-1)
        return reaches

    def volume(self, reach: Values) -> Values:
        """Return the share of the box that is dominated, from the reach along each ray: (..., R) -> (...)."""
        objectives = len(self.reference)
        ball = math.pi ** (objectives / 2) / (2**objectives * math.gamma(objectives / 2 + 1))
        return np.asarray(ball * (reach**objectives).mean(axis=-1))


def _directions(objectives: int) -> Values:
    """Return R evenly spread unit vectors with positive coordinates, (R, J), for J objectives."""
    if objectives == 1:
        return np.ones((1, 1))
    if objectives == 2:
        angles = (np.arange(RAYS) + 0.5) * math.pi / (2 * RAYS)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    from scipy.stats import norm
    from scipy.stats.qmc import Sobol

    power = RAYS.bit_length() - 1 + min(objectives - 2, 4)
    even = Sobol(objectives, scramble=False).random_base2(power) + 0.5 / 2**power
    # The direction of a vector with normally distributed coordinates is uniform on the sphere.
    drawn = norm.ppf(0.5 + 0.5 * even)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))
