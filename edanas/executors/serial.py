"""The executor `serial`: one evaluation after another, in this process."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from edanas.core.contracts import Executor
from edanas.core.contracts.running import Answer, Item
from edanas.core.errors import CandidateError
from edanas.core.hookspecs import hookimpl


class Serial(Executor):
    """Evaluate one candidate after another, in this process.

    Example:
        >>> list(Serial().run(abs, [-1, 2]))
        [1, 2]
    """

    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """See `Executor.run`. An item is read after the caller has used the answer to the previous item."""
        for item in items:
            yield function(item)


@hookimpl
def edanas_executors() -> Mapping[str, Callable[..., Executor]]:
    """Register the executor `serial`."""
    return {"serial": Serial}
