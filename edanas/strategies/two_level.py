"""The strategy `two-level`: an outer search of backbones, and an inner search of exits and thresholds."""

from collections.abc import Callable, Mapping

import numpy as np

from edanas.core.contracts import SearchStrategy
from edanas.core.hookspecs import hookimpl
from edanas.strategies.evolution import Nsga2Search, offspring
from edanas.strategies.genetic import Genomes, Mating
from edanas.strategies.ray_hypervolume import Rays
from edanas.strategies.search_history import SearchHistory, Values


class TwoLevel(Nsga2Search):
    """The search of HADAS (Bouzidi et al. 2023): a search of exits inside a genetic search of backbones.

    The outer search is NSGA-II over backbones, without surrogates. It ranks a backbone by its objectives
    without early exits and by the result of the inner search: the hypervolume of the front over exits and
    thresholds. In HADAS, the inner search is a second genetic search. Here it is exact,
    since an exit profile gives the outcome of every threshold. (`scheme = "distill"` trains exits as HADAS
    does.)

    Args:
        population: Number of candidates of the archive that may become parents, 2 or more.
        crossover: Probability that two parents exchange a contiguous part of their genes, in [0, 1].
        mutation: Mean number of genes that mutate in a child, above 0.

    Raises:
        ConfigError: An option is out of range.
    """

    nested = True

    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Return children of the backbones that are best in the objectives of the outer and inner search."""
        genomes, values = self._history.succeeded()
        if not len(genomes):
            return genomes
        both = SearchHistory(self._space, self._problem.objectives + 1)
        both.add(genomes, np.column_stack([values, -self._inside(genomes, values)]))
        mating = Mating(self._space, rng, self._crossover, self._mutation)
        return offspring(both, self._allowed, mating, self.survival(), self._population, count)

    def _inside(self, genomes: Genomes, values: Values) -> Values:
        """Return the result of the inner search for each of n backbones, (n,).

        The result is the share of the box around the fronts of all backbones that the front of one backbone
        dominates. Without a feasible trade-off, all results are 0.

        Args:
            genomes: Genomes of the backbones, (n, D).
            values: Objective values of the backbones, (n, J).
        """
        fronts = [self.front_of(genome, row) for genome, row in zip(genomes, values, strict=True)]
        everything = np.concatenate(fronts)
        if not np.isfinite(everything).all(axis=1).any():
            # As long as no trade-off is feasible, only the outer objectives rank backbones.
            return np.zeros(len(genomes))
        rays = Rays(everything, everything)
        return np.array([float(rays.volume(rays.reach(front))) for front in fronts])


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Register the strategy `two-level`."""
    return {"two-level": TwoLevel}
