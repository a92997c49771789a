"""The strategy `local`: Pareto local search."""

from collections.abc import Callable, Mapping

import numpy as np

from edanas.core.contracts import SearchStrategy
from edanas.core.hookspecs import hookimpl
from edanas.numerics.pareto import non_dominated
from edanas.strategies.base import Remembering
from edanas.strategies.hypervolume_gain import contributions
from edanas.strategies.search_history import Genomes, Values, unseen


class LocalSearch(Remembering):
    """Pareto local search (Paquete, Chiarandini and Stützle, 2004): neighbours of the front are evaluated.

    A neighbour of a candidate differs in one gene. Each candidate of the front in turn contributes one random
    neighbour that is not evaluated yet. Candidates with a large exclusive hypervolume come first. If all
    neighbours of the front are evaluated, the next non-dominated layer of the archive follows, and so on. The
    search starts from the initial archive, e.g. the front of an older run. The strategy has no options.
    """

    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Return neighbours of the front, then neighbours of the next non-dominated layers."""
        genomes, values = self._history.succeeded()
        held = set(self._history.held)
        proposals = np.zeros((0, self._space.dimensions), dtype=np.int64)
        while len(genomes) and len(proposals) < count:
            best = non_dominated(values)
            more = self._around(rng, genomes[best], values[best], count - len(proposals), held)
            proposals = np.concatenate([proposals, more])
            genomes, values = genomes[~best], values[~best]
        return proposals

    def _around(
        self, rng: np.random.Generator, layer: Genomes, values: Values, count: int, held: set[bytes]
    ) -> Genomes:
        """Return at most `count` new neighbours of candidates, (m, D), and add the neighbours to `held`.

        In each round, every candidate contributes one neighbour.

        Args:
            rng: The only source of randomness.
            layer: Genomes of the n candidates of a layer of Pareto dominance, (n, D).
            values: Objective values of the candidates, (n, J).
            count: Largest number of neighbours.
            held: Genomes that are excluded, as bytes; it is changed in place.
        """
        order = np.argsort(-contributions(values), kind="stable")
        waiting = [rng.permutation(self._allowed(self._space.neighbours(layer[at]))) for at in order]
        chosen: list[Genomes] = []
        while waiting and len(chosen) < count:
            left = []
            for neighbours in waiting:
                new = neighbours[unseen(neighbours, held)]
                if len(new) and len(chosen) < count:
                    chosen.append(new[0])
                    held.add(new[0].tobytes())
                    left.append(new[1:])
            waiting = left
        return np.array(chosen, dtype=np.int64).reshape(-1, self._space.dimensions)


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Register the strategy `local`, Pareto local search."""
    return {"local": LocalSearch}
