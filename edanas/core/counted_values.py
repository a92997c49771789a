"""The part of an objective's value that follows from a candidate's structure, without an evaluation."""

from collections.abc import Callable

from edanas.core.types import Candidate, Outcome

Value = Callable[[Candidate, Outcome], float]
"""A function from a candidate with a hypothetical outcome to a value with exact costs.

The value is NaN if only an evaluation decides it.
"""


def one_exit(exit_points: int, exit_: int, accuracy: float) -> Outcome:
    """Return the outcome in which all samples exit at one exit.

    Args:
        exit_points: N, the number of exit points.
        exit_: Number of the exit, 0 to N; N = the last exit.
        accuracy: Accuracy there, and of the backbone.

    Example:
        >>> one_exit(2, 0, 1.0).utilization
        (1.0, 0.0, 0.0)
    """
    shares = tuple(float(at == exit_) for at in range(exit_points + 1))
    return Outcome(accuracy, shares, tuple(accuracy if share else None for share in shares), accuracy)


def bounds(value: Value, candidate: Candidate) -> tuple[float, float]:
    """Return the values of a candidate if all samples exit as late, and as early, as they can.

    The first number is the value if every sample exits at the last exit; the second, if every sample exits at
    the first placed exit. Both have accuracy 0. Without exits, they are equal.
    """
    points, placed = len(candidate.scheme.thresholds), candidate.scheme.placed
    late = value(candidate, one_exit(points, points, 0.0))
    return late, value(candidate, one_exit(points, placed[0], 0.0)) if placed else late


def depends_on_accuracy(value: Value, candidate: Candidate) -> bool:
    """Return true if the value changes with the accuracy, or if only an evaluation decides it."""
    last = len(candidate.scheme.thresholds)
    wrong, right = (value(candidate, one_exit(last, last, accuracy)) for accuracy in (0.0, 1.0))
    return wrong != right  # NaN differs from itself
