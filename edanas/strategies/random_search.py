"""The strategy `random`: random search, the baseline for other strategies."""

from collections.abc import Callable, Mapping

import numpy as np

from edanas.core.contracts import SearchStrategy
from edanas.core.hookspecs import hookimpl
from edanas.strategies.base import Remembering
from edanas.strategies.search_history import Genomes


class RandomSearch(Remembering):
    """Random search: evaluates distinct candidates whose expressed genes are uniform over their choices."""

    def propose(self, _rng: np.random.Generator, _count: int) -> Genomes:
        """Return no proposals, so that the base class adds random candidates only."""
        return np.zeros((0, self._space.dimensions), dtype=np.int64)


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Register the strategy `random`."""
    return {"random": RandomSearch}
