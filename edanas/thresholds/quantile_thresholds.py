"""Thresholds for a cost budget on unlabelled samples, from their confidences alone.

Among the samples that reach an exit, a fraction p exits there. The odds of the exit are p / (1 - p). The odds
on the calibration samples serve as reference. For other samples, the odds of all exits are multiplied by a
common factor, chosen so that the mean cost meets the budget. Each threshold is then a quantile of the
confidences at its exit: the quantile with which the fraction of exiting samples has the new odds.

The method is budgeted batch classification (Huang and others, "Multi-Scale Dense Networks for Resource
Efficient Image Classification", ICLR 2018, section 3) with one change. In the original, the fraction p is the
same at all exits. Here p may differ from exit to exit, and the ratios of the odds stay constant. The same
assumption defines the proportional odds model (McCullagh, "Regression Models for Ordinal Data", JRSS B 42,
1980).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.types import SelectionScheme

Floats = npt.NDArray[np.float64]
Confidences = npt.NDArray[np.float32]

_STEPS = 80
"""Number of bisection steps for the common factor."""

_FARTHEST = 60.0
"""Logarithm of odds at which all samples exit; at the negative number, no sample exits."""


def exit_odds(utilization: Sequence[float], placed: Sequence[int], samples: int) -> Floats:
    """Return the logarithms (P,) of the odds of P placed exits.

    The odds of an exit are the number of samples that exit there, divided by the number of samples that pass
    it. Half a sample is added to both numbers, so that the odds are finite at an exit where no sample or
    every sample exits (Haldane, 1956; Anscombe, 1956).

    Args:
        utilization: (N + 1,) fraction of samples that exit at each of the N exit points and at the last exit.
        placed: Exit points of the placed exits, ascending.
        samples: Number of samples from which `utilization` was computed.
    """
    counts = samples * np.array([utilization[point] for point in [*placed, len(utilization) - 1]])
    staying = counts[::-1].cumsum()[::-1][1:]
    return np.asarray(np.log((counts[:-1] + 0.5) / (staying + 0.5)))


def thresholds_at_odds(
    confidence: Confidences, odds: Floats, points: Sequence[int], count: int
) -> SelectionScheme:
    """Return the scheme under which the fraction of samples that exit at each exit has the given odds.

    If n samples reach an exit with odds o, then n / (1 + o) samples pass it, rounded down. Samples with equal
    confidences all exit together.

    Args:
        confidence: (S, P) confidences of S samples at the P placed exits.
        odds: (P,) natural logarithms of the odds of each exit.
        points: Exit points of the placed exits, ascending.
        count: Number N of exit points.
    """
    reached = np.ones(len(confidence), dtype=np.bool_)
    thresholds: dict[int, float] = {}
    for column, point in enumerate(points):
        here = confidence[:, column]
        thresholds[point] = _threshold_for_share(here[reached], 1.0 / (1.0 + np.exp(odds[column])))
        reached &= here < np.float32(thresholds[point])
    return SelectionScheme(tuple(thresholds.get(point) for point in range(count)))


def thresholds_within_budget(
    confidence: Confidences,
    odds: Floats,
    points: Sequence[int],
    costs_of_exit: Floats,
    budget: float,
    count: int,
) -> SelectionScheme:
    """Multiply all odds by one factor, as small as a budget allows, and return the scheme at these odds.

    A smaller factor gives higher thresholds and a higher mean cost; the ratios of the odds stay constant.
    If no two confidences are equal, the mean cost falls short of the budget by less than the share of a
    single sample: the largest minus the least cost of an exit, divided by S. The exception is a budget within
    which all samples can reach the last exit: then all of them do.

    Args:
        confidence: (S, P) confidences of S samples at the P placed exits.
        odds: (P,) natural logarithms of the reference odds; see `exit_odds`.
        points: Exit points of the placed exits, ascending.
        costs_of_exit: (P + 1,) cost of a sample that exits at each placed exit and at the last exit; rising.
        budget: Largest mean cost, in the units of `costs_of_exit`; at least the cost of the first exit.
        count: Number N of exit points.

    Raises:
        ValueError: There are no samples, or no exit is placed.

    Example:
        >>> confidence = np.array([[0.1], [0.4], [0.6], [0.9]], dtype=np.float32)
        >>> costs = np.array([10.0, 20.0])
        >>> thresholds_within_budget(confidence, np.zeros(1), (0,), costs, 15, 1).thresholds
        (0.5,)
    """
    if not len(confidence):
        raise ValueError("confidence: found no samples; allowed: 1 sample or more")
    if not len(points):
        raise ValueError("points: found no placed exits; allowed: 1 exit or more")
    limit = budget * (1 + 1e-9)
    low, high = -_FARTHEST - odds.max(), _FARTHEST - odds.min()
    best = thresholds_at_odds(confidence, odds + high, points, count)
    least = thresholds_at_odds(confidence, odds + low, points, count)
    if mean_cost(confidence, least, points, costs_of_exit) <= limit:
        return least
    for _ in range(_STEPS):
        middle = (low + high) / 2
        scheme = thresholds_at_odds(confidence, odds + middle, points, count)
        if mean_cost(confidence, scheme, points, costs_of_exit) <= limit:
            best, high = scheme, middle
        else:
            low = middle
    return best


def mean_cost(
    confidence: Confidences, scheme: SelectionScheme, points: Sequence[int], costs_of_exit: Floats
) -> float:
    """Return the mean cost of a sample with the thresholds of `scheme`.

    The other arguments are those of `thresholds_within_budget`.
    """
    thresholds = np.array([scheme.thresholds[point] for point in points], dtype=np.float32)
    fires = np.column_stack([confidence >= thresholds, np.ones(len(confidence), dtype=np.bool_)])
    return float(costs_of_exit[fires.argmax(axis=1)].mean())


def _threshold_for_share(confidence: Confidences, share: float) -> float:
    """Return the threshold that a given fraction of samples, rounded down to whole samples, does not reach.

    Args:
        confidence: (n,) confidences of the samples that reach the exit.
        share: Fraction of the samples that pass the exit. Samples with equal confidences all exit together.
    """
    ordered = np.sort(confidence)
    staying = int(np.floor(share * len(ordered) + 1e-9))
    if staying == len(ordered):
        return 1.0
    upper = ordered[staying]
    below = ordered[ordered < upper]
    lower = below[-1] if len(below) else np.float32(0.0)
    middle = lower + (upper - lower) / np.float32(2.0)
    return float(middle if middle > lower else upper)
