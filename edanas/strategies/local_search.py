"""The strategy `local`: Pareto local search, the neighbours of the front first."""

from collections.abc import Callable, Mapping

import numpy as np

from edanas.core.contracts import SearchStrategy
from edanas.core.hookspecs import hookimpl
from edanas.numerics.pareto import non_dominated
from edanas.strategies.base import Remembering
from edanas.strategies.hypervolume_gain import contributions
from edanas.strategies.search_history import Genomes, Values, unseen


class LocalSearch(Remembering):
    """Candidates one gene away from the front (Pareto local search, Paquete, Chiarandini and Stützle, 2004).

    Each member of the front in turn gives one of its neighbours that were never evaluated, drawn at random;
    the members whose hypervolume the front would miss most come first. Where all neighbours of the front are
    known, the next layer of the archive gives its own, and so on. Alone it is a plain but honest search from
    wherever the initial archive begins, e.g. an older run's front; it has no options.
    """

    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Neighbours of the front, then of the layers behind it."""
        genomes, values = self._history.succeeded()
        held = set(self._history.held)
        found = np.zeros((0, self._space.dimensions), dtype=np.int64)
        while len(genomes) and len(found) < count:
            best = non_dominated(values)
            more = self._around(rng, genomes[best], values[best], count - len(found), held)
            found = np.concatenate([found, more])
            genomes, values = genomes[~best], values[~best]
        return found

    def _around(
        self, rng: np.random.Generator, layer: Genomes, values: Values, count: int, held: set[bytes]
    ) -> Genomes:
        """At most `count` neighbours of a layer, one a member and round; `held` then has them, too."""
        order = np.argsort(-contributions(values), kind="stable")
        waiting = [rng.permutation(self._allowed(self._space.neighbours(layer[at]))) for at in order]
        found: list[Genomes] = []
        while waiting and len(found) < count:
            left = []
            for neighbours in waiting:
                new = neighbours[unseen(neighbours, held)]
                if len(new) and len(found) < count:
                    found.append(new[0])
                    held.add(new[0].tobytes())
                    left.append(new[1:])
            waiting = left
        return np.array(found, dtype=np.int64).reshape(-1, self._space.dimensions)


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Refinement around the front."""
    return {"local": LocalSearch}
