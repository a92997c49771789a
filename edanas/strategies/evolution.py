"""Evolution without surrogates: pymoo's survival with integer mating, one generation for each batch.

pymoo's loops keep a population from generation to generation. Here each batch begins from the whole archive,
which pymoo's survival reduces to a population. So a batch depends on the archive alone, and no good candidate
is lost.
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
"""Most rounds of mating for children that are not evaluated yet."""


class Evolution(Remembering):
    """An elitist evolutionary search with an unbounded archive; a subclass chooses pymoo's survival.

    Args:
        population: Candidates of the archive that may become parents.
        crossover: Probability that two parents exchange a stretch of genes.
        mutation: Mean number of genes that mutate in a child.

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
        """Return a pymoo survival that sets `rank`, and `crowding` if it computes one."""

    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Return children of the survivors."""
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
    """Return at most `count` children, not evaluated yet, of the survivors of the whole history.

    Args:
        history: Its rows are the parents, the feasible ones first; it may be empty.
        allowed: Filters children by the structural constraints.
        mating: Creates the children.
        survival: See `Evolution.survival`.
        population: Most parents.
        count: Most children.
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
    """NSGA-II (Deb et al., 2002) on evaluations alone: rank, then crowding distance.

    Args:
        population: Candidates of the archive that may become parents.
        crossover: Probability that two parents exchange a stretch of genes.
        mutation: Mean number of genes that mutate in a child.
    """

    def survival(self) -> Any:
        """See `Evolution.survival`."""
        from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

        return RankAndCrowding()


class SmsEmoa(Evolution):
    """SMS-EMOA (Beume, Naujoks and Emmerich, 2007): rank, then a parent's exclusive hypervolume.

    Args:
        population: Candidates of the archive that may become parents.
        crossover: Probability that two parents exchange a stretch of genes.
        mutation: Mean number of genes that mutate in a child.
    """

    def survival(self) -> Any:
        """See `Evolution.survival`."""
        from pymoo.algorithms.moo.sms import LeastHypervolumeContributionSurvival

        return LeastHypervolumeContributionSurvival()


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Register two evolutionary searches with survivals of pymoo."""
    return {"nsga2": Nsga2Search, "sms-emoa": SmsEmoa}
