"""How much of the candidates' accuracies a plot shows."""

from collections.abc import Sequence


def accuracy_floor(tested: Sequence[float], candidates: Sequence[float]) -> float:
    """The lowest accuracy to show, in %: the worst candidates must not squeeze the fronts together.

    Args:
        tested: Accuracies of the finished networks with the ends of their intervals, in %.
        candidates: Those of the search's candidates, in %.
    """
    if not tested:
        return min(candidates, default=0.0)
    low, high = min(tested), max(tested)
    return max(0.0, min([low, *candidates]), low - max(high - low, 2.0))
