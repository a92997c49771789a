"""Thresholds that hold a cost budget on a drifted stream, from confidences alone; no labels are needed.

Of the samples that reach an exit, the share that exits there has odds. On the calibration samples, these odds
say how strict the exits are relative to one another. On other samples, all odds are multiplied by one common
factor, with which the mean cost meets the budget. Each threshold is the quantile that lets the resulting
share exit.

That is budgeted batch classification (Huang and others, "Multi-Scale Dense Networks for Resource Efficient
Image Classification", ICLR 2018, section 3), with one change. There, one share for all exits follows from the
budget. Here, shares may differ but keep the ratios of their odds, as in a proportional odds model (McCullagh,
"Regression Models for Ordinal Data", JRSS B 42, 1980).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.types import SelectionScheme

Floats = npt.NDArray[np.float64]
Confidences = npt.NDArray[np.float32]

_STEPS = 80
_FARTHEST = 60.0
"""Logarithms of odds beyond which all samples exit, or none."""


def exit_odds(utilization: Sequence[float], placed: Sequence[int], samples: int) -> Floats:
    """Return the logarithms (P,) of the odds that a sample that reaches a placed exit exits there.

    Half a sample is added to both counts (Haldane, 1956; Anscombe, 1956), so that an exit that fires for no
    sample, or for all, has finite odds.

    Args:
        utilization: The fraction of samples that exit at each of the N exit points and at the last exit.
        placed: Exit points, ascending.
        samples: The number of samples behind the fractions.
    """
    counts = samples * np.array([utilization[point] for point in [*placed, len(utilization) - 1]])
    staying = counts[::-1].cumsum()[::-1][1:]
    return np.asarray(np.log((counts[:-1] + 0.5) / (staying + 0.5)))


def thresholds_at_odds(
    confidence: Confidences, odds: Floats, points: Sequence[int], count: int
) -> SelectionScheme:
    """Return thresholds with which the share of samples that exit at each exit follows from its odds.

    Of S samples that reach an exit, S / (1 + e^odds) stay, rounded down; samples that tie with the threshold
    all exit.

    Args:
        confidence: (S, P), by placed exit.
        odds: (P,) logarithms.
        points: The exit points of the exits, ascending.
        count: N, the number of exit points.
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
    """Return the strictest thresholds with these ratios of odds whose mean cost is within the budget.

    Without ties, the mean cost lies below the budget by less than one sample decides: the dearest minus the
    cheapest exit's cost, divided by S.

    Args:
        confidence: (S, P), by placed exit.
        odds: (P,) logarithms; see `exit_odds`.
        points: The exit points of the exits, ascending.
        costs_of_exit: (P + 1,) costs of a sample that exits there; rising.
        budget: At least the cost of the first exit.
        count: N, the number of exit points.

    Raises:
        ValueError: There are no samples, or no exits.

    Example:
        >>> confidence = np.array([[0.1], [0.4], [0.6], [0.9]], dtype=np.float32)
        >>> costs = np.array([10.0, 20.0])
        >>> thresholds_within_budget(confidence, np.zeros(1), (0,), costs, 15, 1).thresholds
        (0.5,)
    """
    if not len(confidence) or not len(points):
        raise ValueError(f"{len(confidence)} samples and {len(points)} exits; both are needed")
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
    """Return the mean cost of a sample; arguments as for `thresholds_within_budget`."""
    thresholds = np.array([scheme.thresholds[point] for point in points], dtype=np.float32)
    fires = np.column_stack([confidence >= thresholds, np.ones(len(confidence), dtype=np.bool_)])
    return float(costs_of_exit[fires.argmax(axis=1)].mean())


def _threshold_for_share(confidence: Confidences, share: float) -> float:
    """Return the threshold below which a share of the confidences stays, rounded down; ties exit together."""
    ordered = np.sort(confidence)
    staying = int(np.floor(share * len(ordered) + 1e-9))
    if staying == len(ordered):
        return 1.0
    upper = ordered[staying]
    below = ordered[ordered < upper]
    lower = below[-1] if len(below) else np.float32(0.0)
    middle = lower + (upper - lower) / np.float32(2.0)
    return float(middle if middle > lower else upper)
