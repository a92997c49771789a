"""Evolutionary search without surrogates; each batch of candidates is one generation.

The selection of parents comes from pymoo, the mating of integer genomes from `edanas.strategies.genetic`.
pymoo's own loops keep a population from generation to generation. Here pymoo selects the parents of each
batch from the whole archive. A batch therefore depends on the archive alone, and no good candidate is lost.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edanas.core.contracts import SearchStrategy
from edanas.core.hookspecs import hookimpl
from edanas.strategies.base import Remembering, check
from edanas.strategies.genetic import Genomes, Mating
from edanas.strategies.search_history import SearchHistory, unseen
from edanas.strategies.structure_filter import StructureFilter

ATTEMPTS = 20
"""Largest number of rounds of mating in the search for children that are not evaluated yet."""


class Evolution(Remembering):
    """An evolutionary search whose parents are selected from the whole archive.

    A subclass chooses the survival operator of pymoo, which selects the parents.

    Args:
        population: Number of candidates of the archive that may become parents, 2 or more.
        crossover: Probability that two parents exchange a contiguous part of their genes, in [0, 1].
        mutation: Mean number of genes that mutate in a child, above 0.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(self, population: int = 40, crossover: float = 0.9, mutation: float = 1.0) -> None:
        check("population", population, population >= 2, "2 or more")
        check("crossover", crossover, 0 <= crossover <= 1, "0 to 1")
        check("mutation", mutation, mutation > 0, "more than 0")
        self._population = population
        self._crossover = crossover
        self._mutation = mutation

    @abstractmethod
    def survival(self) -> Any:
        """Return a survival operator of pymoo.

        The operator sets `rank` of every survivor, and `crowding` if it computes a crowding distance.
        """

    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Return children of the candidates that survive."""
        mating = Mating(self._space, rng, self._crossover, self._mutation)
        return offspring(self._history, self._allowed, mating, self.survival(), self._population, count)


def offspring(
    history: SearchHistory,
    allowed: StructureFilter,
    mating: Mating,
    survival: Any,
    population: int,
    count: int,
) -> Genomes:
    """Return the genomes of new children, (m, D), of parents that `survival` selects from the history.

    The children are not evaluated yet, and m is at most `count`.

    Args:
        history: All evaluations; feasible candidates are preferred as parents. It may be empty.
        allowed: Filters children by the structural constraints.
        mating: Creates the children.
        survival: Survival operator of pymoo; see `Evolution.survival`.
        population: Largest number of parents.
        count: Largest number of children.
    """
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem

    genomes, values = history.succeeded()
    new, held = genomes[:0], set(history.held)
    if not len(genomes):
        return new
    bounds = {"xl": 0, "xu": mating.space.counts - 1}
    problem = Problem(n_var=genomes.shape[1], n_obj=values.shape[1], **bounds)
    everyone = Population.new("X", genomes, "F", values, "crowding", np.zeros(len(genomes)))
    parents = survival.do(problem, everyone, n_survive=population, random_state=mating.rng)
    for _ in range(ATTEMPTS):
        if len(new) >= count:
            break
        children = mating.do(problem, parents, count).get("X").astype(np.int64)
        children = children.reshape(-1, genomes.shape[1])
        children = allowed(children[unseen(children, held)])
        held.update(row.tobytes() for row in children)
        new = np.concatenate([new, children])
    return new[:count]


class Nsga2Search(Evolution):
    """NSGA-II (Deb et al., 2002) without surrogates.

    Parents are selected by Pareto rank, and within a rank by crowding distance.

    Args:
        population: Number of candidates of the archive that may become parents, 2 or more.
        crossover: Probability that two parents exchange a contiguous part of their genes, in [0, 1].
        mutation: Mean number of genes that mutate in a child, above 0.
    """

    def survival(self) -> Any:
        """See `Evolution.survival`."""
        from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

        return RankAndCrowding()


class SmsEmoa(Evolution):
    """SMS-EMOA (Beume, Naujoks and Emmerich, 2007) without surrogates.

    Parents are selected by Pareto rank, and within a rank by hypervolume gain. The gain of a
    candidate is the hypervolume that only this candidate adds.

    Args:
        population: Number of candidates of the archive that may become parents, 2 or more.
        crossover: Probability that two parents exchange a contiguous part of their genes, in [0, 1].
        mutation: Mean number of genes that mutate in a child, above 0.
    """

    def survival(self) -> Any:
        """See `Evolution.survival`."""
        from pymoo.algorithms.moo.sms import LeastHypervolumeContributionSurvival

        return LeastHypervolumeContributionSurvival()


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Register the strategies `nsga2` and `sms-emoa`."""
    return {"nsga2": Nsga2Search, "sms-emoa": SmsEmoa}
