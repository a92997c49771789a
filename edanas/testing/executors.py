"""The conformance suite for executors."""

from collections.abc import Iterator
from math import isqrt

from edanas.core.contracts import Executor
from edanas.testing.conformance import ConformanceError, require

_AHEAD = 64
"""The largest number of items that an executor may take beyond its results.

A run that reaches its time limit still processes these items.
"""


def check_executor(executor: Executor) -> None:
    """Check an executor against its contract: start, order of results, items on demand, exceptions, end.

    Args:
        executor: An executor that has not run anything; the suite closes it at the end.

    Raises:
        ConformanceError: The executor breaks its contract.

    Example:
        >>> class Serial(Executor):
        ...     def run(self, function, items):
        ...         for item in items:
        ...             yield function(item)
        >>> check_executor(Serial())
    """
    try:
        executor.start()
        # The order has one change of the function only, since a change may start new workers.
        _check_order(executor)
        _check_demand(executor)
        _check_as_completed(executor)
        _check_early_end(executor)
        _check_exception(executor)
    finally:
        executor.close()
    executor.close()


def _check_order(executor: Executor) -> None:
    """Check that results are in the order of the items, though the first items take longest."""
    for items in ([], [3], [200_000, 1, 100_000, 2, 0, 1, 200_000]):
        results = list(executor.run(_triangle, items))
        expected = [_triangle(item) for item in items]
        require(executor, results == expected, f"results of {items} are {results}; expected {expected}")


def _check_demand(executor: Executor) -> None:
    """Check that an executor takes items only shortly before their results are read."""
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for item in range(3 * _AHEAD):
            drawn += 1
            yield item

    results = 0
    for results, _ in enumerate(executor.run(_triangle, items()), start=1):
        require(
            executor,
            drawn <= results + _AHEAD,
            f"{drawn} items taken for {results} results; allowed: at most {_AHEAD} items more than results",
        )
    require(
        executor,
        results == 3 * _AHEAD,
        f"{results} results of {3 * _AHEAD} items; expected one for each item",
    )


def _check_early_end(executor: Executor) -> None:
    """Check that an unfinished run does not affect the next run, which has another function."""
    unfinished = executor.run(_triangle, range(3, 9))
    require(executor, next(unfinished) == 6, "the first result of a run is not the result of the first item")
    close = getattr(unfinished, "close", None)
    if close is not None:
        close()
    results = list(executor.run(_root, [16, 25]))
    require(executor, results == [4, 5], f"a run after an unfinished one gives {results}; expected [4, 5]")


def _check_as_completed(executor: Executor) -> None:
    """Check that every item has one result, with its number, in the order in which results are available."""
    items = [200_000, 1, 100_000, 2, 0, 1, 200_000]
    results = list(executor.as_completed(_triangle, items))
    expected = [(number, _triangle(item)) for number, item in enumerate(items)]
    require(
        executor,
        sorted(results) == expected,
        f"numbers and results of {items} are {sorted(results)}; expected {expected}",
    )


def _check_exception(executor: Executor) -> None:
    try:
        results = list(executor.run(_root, [1, -1]))
    except Exception as error:
        require(
            executor,
            "nonnegative" in str(error),
            f"an exception of the function reaches the caller as {error!r}; expected its own message",
        )
        return
    raise ConformanceError(
        f"{type(executor).__name__}: an exception of the function is swallowed, and the results are {results}"
    )


def _triangle(number: int) -> int:
    return sum(range(number + 1))


def _root(number: int) -> int:
    return isqrt(number)
