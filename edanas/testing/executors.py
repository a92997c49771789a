"""The conformance suite of executors."""

from collections.abc import Iterator
from math import isqrt

from edanas.core.contracts import Executor
from edanas.testing.conformance import ConformanceError, require

_AHEAD = 64
"""Items that an executor may take before it needs them; a time limit bites that much later."""


def check_executor(executor: Executor) -> None:
    """Hold `executor` against its contract: the items' order, no hurry in taking them, exceptions, closing.

    Args:
        executor: A fresh one; it is closed at the end.

    Raises:
        ConformanceError: Something does not hold.
    """
    try:
        _check_order(executor)
        _check_appetite(executor)
        _check_leaving(executor)
        _check_exception(executor)
    finally:
        executor.close()
    executor.close()


def _check_order(executor: Executor) -> None:
    """Answers stand in the items' order, though the first items take longest."""
    for items in ([], [3], [200_000, 1, 100_000, 2, 0, 1, 200_000]):
        found = list(executor.run(_triangle, items))
        expected = [_triangle(item) for item in items]
        require(executor, found == expected, f"answers to {items} are {found}; expected {expected}")


def _check_appetite(executor: Executor) -> None:
    """Items are made while answers are read, and an iterator that ends early ends the run."""
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(3 * _AHEAD):
            taken += 1
            yield item

    answers = 0
    for answers, _ in enumerate(executor.run(_triangle, items()), start=1):
        require(
            executor,
            taken <= answers + _AHEAD,
            f"{taken} items were taken when {answers} answers were out; at most {_AHEAD} ahead",
        )
    require(executor, answers == 3 * _AHEAD, f"{answers} answers to {3 * _AHEAD} items")


def _check_leaving(executor: Executor) -> None:
    """Whoever stops reading leaves nothing behind for the next run, which may be of another function."""
    left = executor.run(_triangle, range(3, 9))
    require(executor, next(left) == 6, "the first answer of several is not the first item's")
    close = getattr(left, "close", None)
    if close is not None:
        close()
    found = list(executor.run(_root, [16, 25]))
    require(executor, found == [4, 5], f"a run after one that was left answers {found}; expected [4, 5]")


def _check_exception(executor: Executor) -> None:
    try:
        found = list(executor.run(_root, [1, -1]))
    except Exception as error:
        require(executor, "nonnegative" in str(error), f"an exception of the function comes out as {error!r}")
        return
    raise ConformanceError(f"{type(executor).__name__}: an exception of the function is swallowed: {found}")


def _triangle(number: int) -> int:
    return sum(range(number + 1))


def _root(number: int) -> int:
    return isqrt(number)
