"""Thresholds of a network in integers, with which as many samples exit as in the original network."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.deploy.c_code.decision import ONE
from edanas.deploy.c_code.fixed_point import Integers


def matching_thresholds(confidences: Integers, counts: Sequence[int]) -> tuple[int, ...]:
    """Return thresholds with which given numbers of samples leave at each exit.

    Samples with equal confidences leave together, so numbers may differ by their ties. A threshold lies in
    the middle between two confidences, so that neither is close to it.

    Args:
        confidences: (S, E) confidences of S samples at E exits, 24 bits after the binary point.
        counts: Number of samples that leave at each exit in the original network, the last exit included.

    Example:
        >>> matching_thresholds(np.array([[10, 0], [30, 0], [20, 0], [40, 0]]), [2, 2])
        (25,)
    """
    remaining = np.ones(len(confidences), dtype=bool)
    thresholds = []
    for column, count in enumerate(counts[:-1]):
        threshold = _threshold(np.sort(confidences[remaining, column])[::-1], count)
        thresholds.append(threshold)
        remaining &= confidences[:, column] < threshold
    return tuple(thresholds)


def _threshold(falling: npt.NDArray[np.int64], count: int) -> int:
    """Return the threshold that `count` of the confidences reach, or as near to `count` as ties permit."""
    if not len(falling):
        return ONE
    steps = [at for at in range(1, len(falling)) if falling[at - 1] > falling[at]]
    ends = [0, *steps, len(falling)]
    nearest = min(ends, key=lambda end: abs(end - count))
    if nearest == 0:
        return int(min(falling[0] + 1, ONE))
    if nearest == len(falling):
        return int(falling[-1])
    return int((falling[nearest - 1] + falling[nearest] + 1) // 2)
