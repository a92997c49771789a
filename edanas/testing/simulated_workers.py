"""An executor whose workers compute on a simulated clock, to study searches with many workers."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from edanas.core.contracts import Executor
from edanas.core.contracts.running import Answer, Item
from edanas.core.errors import CandidateError


class SimulatedWorkers(Executor):
    """Workers that compute one item each at once, for the seconds of a function; the clock is simulated.

    Args:
        workers: Number of workers.
        seconds: Returns the duration of an item.
        asynchronous: See `Executor.asynchronous`.

    Example:
        >>> executor = SimulatedWorkers(2, seconds=float)
        >>> list(executor.as_completed(abs, [5, 1, 2])), executor.now, executor.busy()
        ([(1, 1), (2, 2), (0, 5)], 5.0, 0.8)
    """

    def __init__(self, workers: int, seconds: Callable[[Any], float], *, asynchronous: bool = False) -> None:
        self.workers, self.seconds, self.asynchronous = workers, seconds, asynchronous
        self.now, self._worked = 0.0, 0.0

    def busy(self) -> float:
        """Return the share of the workers' time, so far, in which they computed."""
        return self._worked / (self.workers * self.now)

    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """See `Executor.run`."""
        answers: dict[int, Answer | CandidateError] = {}
        due = 0
        for number, answer in self.as_completed(function, items):
            answers[number] = answer
            while due in answers:
                yield answers.pop(due)
                due += 1

    def as_completed(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[tuple[int, Answer | CandidateError]]:
        """See `Executor.as_completed`."""
        source = enumerate(items)
        working: list[tuple[float, int, Answer]] = []
        while True:
            while len(working) < self.workers and (drawn := next(source, None)) is not None:
                number, item = drawn
                seconds = self.seconds(item)
                self._worked += seconds
                heapq.heappush(working, (self.now + seconds, number, function(item)))
            if not working:
                return
            self.now, number, answer = heapq.heappop(working)
            yield number, answer
