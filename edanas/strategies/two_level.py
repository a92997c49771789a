"""The strategy `two-level`: an outer search of backbones, an inner one of exits and thresholds."""

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

    The outer NSGA-II searches backbones without surrogates. It ranks a backbone by its objectives without
    early exits and by the result of the inner search: the hypervolume of its best exits and thresholds. HADAS
    runs a second genetic search there. Here the inner search is exact, since an exit profile gives the
    outcome of every threshold. (`scheme = "distill"` trains exits as HADAS does.)

    Args:
        population: Candidates of the archive that may become parents.
        crossover: Probability that two parents exchange a stretch of genes.
        mutation: Mean number of genes that mutate in a child.

    Raises:
        ConfigError: An option is out of range.
    """

    nested = True

    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Return children of the backbones that survive by the objectives of both levels."""
        genomes, values = self._history.succeeded()
        if not len(genomes):
            return genomes
        both = SearchHistory(self._space, self._problem.objectives + 1)
        both.add(genomes, np.column_stack([values, -self._inside(genomes, values)]))
        mating = Mating(self._space, rng, self._crossover, self._mutation)
        return offspring(both, self._allowed, mating, self.survival(), self._population, count)

    def _inside(self, genomes: Genomes, values: Values) -> Values:
        """Return the share of the archive's box that each backbone's front dominates, (n,)."""
        fronts = [self.front_of(genome, row) for genome, row in zip(genomes, values, strict=True)]
        everything = np.concatenate(fronts)
        if not np.isfinite(everything).all(axis=1).any():
            # No trade-off keeps the constraints yet: the outer level alone ranks backbones.
            return np.zeros(len(genomes))
        rays = Rays(everything, everything)
        return np.array([float(rays.volume(rays.reach(front))) for front in fronts])


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Register the two-level search."""
    return {"two-level": TwoLevel}
