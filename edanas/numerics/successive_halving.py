"""The rule of successive halving for several objectives, for one candidate at a time."""

import numpy as np
import numpy.typing as npt

from edanas.numerics.pareto import non_dominated

Values = npt.NDArray[np.float64]


def stops(values: Values, earlier: Values, reduction: int) -> bool:
    """Return whether a candidate is not among the best `1 / reduction` of all candidates at its rung.

    A candidate is better than another if it lies in an earlier layer of Pareto dominance. With fewer than
    `reduction` candidates, none stops.

    Args:
        values: Minimised values (J,) of the candidate in the J objectives.
        earlier: Minimised values (n, J) of the earlier candidates at the rung.
        reduction: ASHA's reduction factor, 2 or more.

    Example:
        >>> earlier = np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
        >>> stops(np.array([0.5, 0.5]), earlier, 3), stops(np.array([0.0, 0.5]), earlier, 3)
        (True, False)
    """
    rows = np.vstack([earlier, values])
    if len(rows) < reduction:
        return False
    left, better = np.arange(len(rows)), 0
    while True:
        layer = non_dominated(rows[left])
        if layer[-1]:
            return better >= max(1, len(rows) // reduction)
        better += int(layer.sum())
        left = left[~layer]
