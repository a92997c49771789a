"""Limits of the accuracy axis."""

from collections.abc import Sequence


def accuracy_floor(tested: Sequence[float], candidates: Sequence[float]) -> float:
    """Return the lowest accuracy to show, in percent.

    Much worse candidates lie below it, so that they do not squeeze the fronts together.

    Args:
        tested: Accuracies of the finished networks, with the ends of their intervals, in percent.
        candidates: Accuracies of the search's candidates, in percent.

    Example:
        >>> accuracy_floor([95.0, 97.0], [20.0, 94.0])
        93.0
    """
    if not tested:
        return min(candidates, default=0.0)
    low, high = min(tested), max(tested)
    return max(0.0, min([low, *candidates]), low - max(high - low, 2.0))
