"""Evaluations one after the other, in this process."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from edanas.core.contracts import Executor
from edanas.core.contracts.running import Answer, Item
from edanas.core.errors import CandidateError
from edanas.core.hookspecs import hookimpl


class Serial(Executor):
    """Evaluates one candidate after the other, in this process."""

    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """See `Executor.run`; an item is taken when its turn comes."""
        for item in items:
            yield function(item)


@hookimpl
def edanas_executors() -> Mapping[str, Callable[..., Executor]]:
    """The executor `serial`."""
    return {"serial": Serial}
