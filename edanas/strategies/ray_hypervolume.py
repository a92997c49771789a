"""Hypervolume as a mean over rays: a front's reach from the reference point in each direction.

Along each of a fixed set of rays a front is one number, whatever its numbers of points and objectives. So a
whole front is a vector that can be predicted by regression, and the gain of a front is a mean of differences.
"""

import math

import numpy as np
import numpy.typing as npt

from edanas.numerics.pareto import reference_point

Values = npt.NDArray[np.float64]

RAYS = 64
"""Directions for two objectives, a power of two; each further objective doubles them, up to 16 times."""


class Rays:
    """Rays from a reference point through the box in which hypervolume counts (Zhang and Golovin, 2020).

    Args:
        references: (n, J) values whose maxima give the reference point, as in the run's hypervolume.
        values: (m, J) values whose minima are the box's other corner.

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
        """Return the reach on each ray, (..., R), of k points with minimised values (..., k, J)."""
        inside = np.maximum(self.reference - points, 0.0) / self._span
        # Objectives first: a minimum over a short last axis is slow.
        columns = np.ascontiguousarray(np.moveaxis(inside, -1, 0))
        reaches = np.zeros((*points.shape[:-2], len(self._directions)))
        for ray, direction in enumerate(self._directions):
            least = columns[0] / direction[0]
            for column, share in zip(columns[1:], direction[1:], strict=True):
                np.minimum(least, column / share, out=least)
            reaches[..., ray] = least.max(axis=-1)
        return reaches

    def volume(self, reach: Values) -> Values:
        """Return the dominated share of the box, (...), for reaches (..., R)."""
        objectives = len(self.reference)
        ball = math.pi ** (objectives / 2) / (2**objectives * math.gamma(objectives / 2 + 1))
        return np.asarray(ball * (reach**objectives).mean(axis=-1))


def _directions(objectives: int) -> Values:
    """Return unit vectors (R, J) with positive coordinates, spread evenly."""
    if objectives == 1:
        return np.ones((1, 1))
    if objectives == 2:
        angles = (np.arange(RAYS) + 0.5) * math.pi / (2 * RAYS)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    from scipy.stats import norm
    from scipy.stats.qmc import Sobol

    power = RAYS.bit_length() - 1 + min(objectives - 2, 4)
    even = Sobol(objectives, scramble=False).random_base2(power) + 0.5 / 2**power
    # Absolute coordinates of a normal vector: its direction is uniform on the sphere.
    drawn = norm.ppf(0.5 + 0.5 * even)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))
