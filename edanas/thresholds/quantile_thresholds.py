"""Thresholds from confidences alone, so that a drifted stream holds a budget: no labels are needed.

Each exit's share of leavers among those who reach it has odds. On the calibration samples these say how
strict the exits are to one another. On other samples all odds are multiplied by one common factor, the one
with which the mean cost meets the budget, and each threshold is the quantile that lets that share leave.

That is budgeted batch classification (Huang and others, "Multi-Scale Dense Networks for Resource Efficient
Image Classification", ICLR 2018, section 3: one share of leavers at all exits, found from the budget,
thresholds by counting), where the shares need not be equal but keep their ratios of odds, as in a
proportional odds model (McCullagh, "Regression Models for Ordinal Data", JRSS B 42, 1980).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.types import SelectionScheme

Floats = npt.NDArray[np.float64]
Confidences = npt.NDArray[np.float32]

_STEPS = 80
_FARTHEST = 60.0
"""Logarithms of odds beyond which everybody leaves, or nobody."""


def exit_odds(utilization: Sequence[float], placed: Sequence[int], samples: int) -> Floats:
    """Logarithms of the odds to leave at each placed exit, for those who reach it: (P,).

    Half a sample is added to those who leave and to those who stay (Haldane, 1956; Anscombe, 1956), so that
    an exit where nobody leaves, or everybody, has finite odds.

    Args:
        utilization: The fraction of samples that leave at each of the N exit points and at the last exit.
        placed: Exit points, ascending.
        samples: How many samples these are fractions of.
    """
    counts = samples * np.array([utilization[point] for point in [*placed, len(utilization) - 1]])
    staying = counts[::-1].cumsum()[::-1][1:]
    return np.asarray(np.log((counts[:-1] + 0.5) / (staying + 0.5)))


def thresholds_at_odds(
    confidence: Confidences, odds: Floats, points: Sequence[int], count: int
) -> SelectionScheme:
    """Thresholds with which each exit lets go, of those who reach it, the share that its odds say.

    Of S who reach it, S / (1 + e^odds) stay, rounded down; where those at the boundary are equally sure, all
    of them leave.

    Args:
        confidence: (S, P), by exit placed.
        odds: (P,) logarithms.
        points: The exits' exit points, ascending.
        count: N, how many exit points there are.
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
    """The strictest thresholds with these ratios of odds whose mean cost is within the budget.

    Where confidences differ, the mean cost lies below the budget by less than the dearest minus the cheapest
    exit's cost, divided by S: what one sample decides.

    Args:
        confidence: (S, P), by exit placed.
        odds: (P,) logarithms; see `leaving_odds`.
        points: The exits' exit points, ascending.
        costs_of_exit: (P + 1,) of a sample that leaves there; rising.
        budget: At least the cost of the first exit.
        count: N, how many exit points there are.

    Raises:
        ValueError: There are no samples, or no exits.
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
    """Of a sample on average; arguments as for `within_budget`."""
    thresholds = np.array([scheme.thresholds[point] for point in points], dtype=np.float32)
    fires = np.column_stack([confidence >= thresholds, np.ones(len(confidence), dtype=np.bool_)])
    return float(costs_of_exit[fires.argmax(axis=1)].mean())


def _threshold_for_share(confidence: Confidences, share: float) -> float:
    """The threshold that so many of these, rounded down, stay below, or fewer where some are equally sure."""
    ordered = np.sort(confidence)
    staying = int(np.floor(share * len(ordered) + 1e-9))
    if staying == len(ordered):
        return 1.0
    upper = ordered[staying]
    below = ordered[ordered < upper]
    lower = below[-1] if len(below) else np.float32(0.0)
    middle = lower + (upper - lower) / np.float32(2.0)
    return float(middle if middle > lower else upper)
