"""Evolution without surrogates: pymoo's survival with integer mating, one generation for each question.

pymoo's loops keep a population from generation to generation. Here each question begins from the whole
archive, which pymoo's survival cuts to a population: what is asked then follows from the archive alone,
however it came about, and nothing good is ever forgotten.
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
"""How often parents mate again for children that were never evaluated."""


class Evolution(Remembering):
    """An elitist evolutionary search with an unbounded archive; a child names pymoo's survival.

    Args:
        population: How many of the archive may become parents.
        crossover: Probability that two parents exchange a stretch of genes.
        mutation: How many genes mutate in a child, on average.

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
        """A pymoo survival that sets `rank`, and `crowding` if it has one."""

    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Children of the survivors."""
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
    """At most `count` children, never told, of what survives of everything that was told.

    Args:
        history: Whose rows are the parents, the feasible first; none are needed.
        allowed: What children's structure must keep.
        mating: Makes the children.
        survival: A pymoo survival that sets `rank`, and `crowding` if it has one.
        population: How many may become parents.
        count: How many children are wanted.
    """
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem

    genomes, values = history.succeeded()
    found, held = genomes[:0], set(history.held)
    if not len(genomes):
        return found
    bounds = {"xl": 0, "xu": mating.space.counts - 1}
    problem = Problem(n_var=genomes.shape[1], n_obj=values.shape[1], **bounds)
    everyone = Population.new("X", genomes, "F", values, "crowding", np.zeros(len(genomes)))
    parents = survival.do(problem, everyone, n_survive=population, random_state=mating.rng)
    for _ in range(ATTEMPTS):
        if len(found) >= count:
            break
        children = mating.do(problem, parents, count).get("X").astype(np.int64)
        children = children.reshape(-1, genomes.shape[1])
        children = allowed(children[unseen(children, held)])
        held.update(row.tobytes() for row in children)
        found = np.concatenate([found, children])
    return found[:count]


class Nsga2Search(Evolution):
    """NSGA-II (Deb et al., 2002) on evaluations alone: rank, then crowding distance.

    Args:
        population: How many of the archive may become parents.
        crossover: Probability that two parents exchange a stretch of genes.
        mutation: How many genes mutate in a child, on average.
    """

    def survival(self) -> Any:
        """See `Evolution.survival`."""
        from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

        return RankAndCrowding()


class SmsEmoa(Evolution):
    """SMS-EMOA (Beume, Naujoks and Emmerich, 2007): rank, then the hypervolume that a parent alone adds.

    Args:
        population: How many of the archive may become parents.
        crossover: Probability that two parents exchange a stretch of genes.
        mutation: How many genes mutate in a child, on average.
    """

    def survival(self) -> Any:
        """See `Evolution.survival`."""
        from pymoo.algorithms.moo.sms import LeastHypervolumeContributionSurvival

        return LeastHypervolumeContributionSurvival()


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Two of pymoo's."""
    return {"nsga2": Nsga2Search, "sms-emoa": SmsEmoa}
