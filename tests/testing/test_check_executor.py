"""The suite finds what is wrong with an executor."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from edanas.core.contracts import Executor
from edanas.testing.conformance import ConformanceError
from edanas.testing.executors import check_executor


class Hasty(Executor):
    """Takes all items at once."""

    def run(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        yield from [function(item) for item in list(items)]


class Unordered(Executor):
    """The smallest item first."""

    def run(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        for item in sorted(items):
            yield function(item)


class Swallowing(Executor):
    """Leaves out what raises."""

    def run(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            try:
                yield function(item)
            except ValueError:
                continue


class Faithful(Executor):
    """Runs the first function it was given for ever."""

    function: Callable[[Any], Any] | None = None

    def run(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        self.function = self.function or function
        for item in items:
            yield self.function(item)


@pytest.mark.parametrize(
    ("executor", "text"),
    [
        (Hasty(), "Hasty: 192 items taken for 1 results"),
        (Unordered(), "Unordered: results of "),
        (Swallowing(), "Swallowing: an exception of the function is swallowed"),
        (Faithful(), "Faithful: a run after an unfinished one"),
    ],
)
def test_a_fault_is_found(executor: Executor, text: str) -> None:
    with pytest.raises(ConformanceError, match=text):
        check_executor(executor)
