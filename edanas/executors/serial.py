"""The executor `serial`: one evaluation after another, in this process."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from edanas.core.contracts import Executor
from edanas.core.contracts.running import Answer, Item
from edanas.core.errors import CandidateError
from edanas.core.hookspecs import hookimpl
from edanas.core.time_limits import OverdueError, StepLimits


class Serial(Executor):
    """Evaluate one candidate after another, in this process.

    Args:
        timeout: The largest number of seconds for one candidate; by default 0, for 20 times the median so
            far and at least 5 minutes. A candidate without an answer is tried once more.

    Raises:
        ConfigError: The option is out of range.

    Example:
        >>> list(Serial().run(abs, [-1, 2]))
        [1, 2]
    """

    def __init__(self, timeout: float = 0.0) -> None:
        self.timeout, self._limits = timeout, StepLimits(timeout)

    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """See `Executor.run`. An item is read after the caller has used the answer to the previous item."""
        for item in items:
            yield self._answer(function, item)

    def _answer(self, function: Callable[[Item], Answer], item: Item) -> Answer | CandidateError:
        cause = ""
        for _ in range(2):
            try:
                with self._limits.of(item).guarded():
                    return function(item)
            except OverdueError as error:
                cause = str(error)
        return CandidateError(f"two attempts were given up ({cause}; see executor.timeout)")


@hookimpl
def edanas_executors() -> Mapping[str, Callable[..., Executor]]:
    """Register the executor `serial`."""
    return {"serial": Serial}
