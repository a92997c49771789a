"""The strategy `random`: the baseline that every other one has to beat."""

from collections.abc import Callable, Mapping

import numpy as np

from edanas.core.contracts import SearchStrategy
from edanas.core.hookspecs import hookimpl
from edanas.strategies.base import Remembering
from edanas.strategies.search_history import Genomes


class RandomSearch(Remembering):
    """Distinct random candidates, each expressed gene uniform over its choices."""

    def propose(self, _rng: np.random.Generator, _count: int) -> Genomes:
        """Nothing: what a strategy leaves open is drawn at random."""
        return np.zeros((0, self._space.dimensions), dtype=np.int64)


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """The baseline."""
    return {"random": RandomSearch}
