"""Limits of the axes of accuracy and cost."""

from collections.abc import Sequence


def accuracy_floor(tested: Sequence[float], candidates: Sequence[float]) -> float:
    """Return the lower limit of the accuracy axis, in percent.

    Candidates far below the finished networks lie outside the axis, so that the fronts fill the plot. Without
    finished networks, the limit is the lowest accuracy of a candidate.

    Args:
        tested: Accuracies of the finished networks in percent, or the ends of their 95% intervals.
        candidates: Accuracies of the candidates of the search, in percent.

    Example:
        >>> accuracy_floor([95.0, 97.0], [20.0, 94.0])
        93.0
    """
    if not tested:
        return min(candidates, default=0.0)
    low, high = min(tested), max(tested)
    return max(0.0, min([low, *candidates]), low - max(high - low, 2.0))


def cost_ceiling(networks: Sequence[float], candidates: Sequence[float]) -> float:
    """Return the upper limit of the cost axis: three times the largest cost of a finished network.

    Dearer candidates lie outside the axis. Without finished networks, the limit is the largest cost of a
    candidate.

    Args:
        networks: Costs of the finished networks.
        candidates: Costs of the candidates of the search, in the same unit.

    Example:
        >>> cost_ceiling([0.5, 2.0], [1.0, 30.0])
        6.0
    """
    return 3 * max(networks) if networks else max(candidates, default=0.0)
