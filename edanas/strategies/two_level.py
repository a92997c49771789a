"""The strategy `two-level`: backbones outside, exits and thresholds inside."""

from collections.abc import Callable, Mapping

import numpy as np

from edanas.core.contracts import SearchStrategy
from edanas.core.hookspecs import hookimpl
from edanas.strategies.evolution import Nsga2Search, offspring
from edanas.strategies.genetic import Genomes, Mating
from edanas.strategies.ray_hypervolume import Rays
from edanas.strategies.search_history import SearchHistory, Values


class TwoLevel(Nsga2Search):
    """HADAS (Bouzidi et al. 2023): a genetic search of backbones around a search of their exits.

    Outside, NSGA-II moves through backbones without surrogates. A backbone is judged as it is, with nobody
    leaving early, and by what the inner search finds for it: the hypervolume of its best choices of exits and
    thresholds. There HADAS runs a second genetic search. Here the inner one is exact, since on a backbone's
    exit profile every threshold is arithmetic. (`scheme = "distill"` trains exits as HADAS does.)

    Args:
        population: How many of the archive may become parents.
        crossover: Probability that two parents exchange a stretch of genes.
        mutation: How many genes mutate in a child, on average.

    Raises:
        ConfigError: An option is out of range.
    """

    nested = True

    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Children of the backbones that survive by both levels' figures."""
        genomes, values = self._history.succeeded()
        if not len(genomes):
            return genomes
        both = SearchHistory(self._space, self._problem.objectives + 1)
        both.add(genomes, np.column_stack([values, -self._inside(genomes, values)]))
        mating = Mating(self._space, rng, self._crossover, self._mutation)
        return offspring(both, self._allowed, mating, self.survival(), self._population, count)

    def _inside(self, genomes: Genomes, values: Values) -> Values:
        """(n,) the share of the archive's box that each backbone dominates by its exits and thresholds."""
        fronts = [self.front_of(genome, row) for genome, row in zip(genomes, values, strict=True)]
        everything = np.concatenate(fronts)
        if not np.isfinite(everything).all(axis=1).any():
            # No trade-off keeps the constraints yet: only the outer level tells backbones apart.
            return np.zeros(len(genomes))
        rays = Rays(everything, everything)
        return np.array([float(rays.volume(rays.reach(front))) for front in fronts])


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Two searches, one around the other."""
    return {"two-level": TwoLevel}
