"""The strategy `random`: the baseline for all others."""

from collections.abc import Callable, Mapping

import numpy as np

from edanas.core.contracts import SearchStrategy
from edanas.core.hookspecs import hookimpl
from edanas.strategies.base import Remembering
from edanas.strategies.search_history import Genomes


class RandomSearch(Remembering):
    """Distinct random candidates, each expressed gene uniform over its choices."""

    def propose(self, _rng: np.random.Generator, _count: int) -> Genomes:
        """Return no proposals; the base class fills up with random candidates."""
        return np.zeros((0, self._space.dimensions), dtype=np.int64)


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Register the random search."""
    return {"random": RandomSearch}
