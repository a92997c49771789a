"""The paper's search, and what it was compared with: the same search, confined to a part of the space."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import SearchStrategy
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.space import SearchSpace
from edanas.strategies.surrogate_nsga2 import SurrogateNsga2


class Nsga2Joint(SurrogateNsga2):
    """EDANAS (Gambella and Roveri 2023, Section IV): backbone and thresholds in one genome.

    NSGA-II on surrogates: `surrogate-nsga2` with the choices of the paper and its public code. The initial
    archive is random, and those candidates are evaluated that spread best along the predicted front.

    Args:
        population: Candidates that survive each generation.
        generations: Generations in each iteration.
        crossover: Probability that two parents exchange a stretch of genes.
        mutation: How many genes mutate in a child, on average.
    """

    def __init__(
        self, population: int = 40, generations: int = 20, crossover: float = 0.9, mutation: float = 1.0
    ) -> None:
        super().__init__(
            population, generations, crossover, mutation, extremes=False, choice="spread", unguided=0.0
        )


class Nsga2Backbone(Nsga2Joint):
    """CNAS (Gambella, Falcetta and Roveri 2022): the same search of backbones alone, without early exits.

    What comes back are single-exit networks. The thresholds of the settings must hold "none".
    """

    def confine(self, space: SearchSpace) -> SearchSpace:
        """Candidates without exits."""
        return space.confined(lambda _point, threshold: threshold is None)


class SingleExit(Nsga2Joint):
    """EExNAS (Odema, Rashid and Al Faruque 2021): the backbone, and one exit at a fixed place.

    Args:
        exit: The exit point, from 1, at which the exit stands.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(
        self,
        exit: int = 1,  # noqa: A002 - what the option is called
        population: int = 40,
        generations: int = 20,
        crossover: float = 0.9,
        mutation: float = 1.0,
    ) -> None:
        super().__init__(population, generations, crossover, mutation)
        self._exit = exit

    def confine(self, space: SearchSpace) -> SearchSpace:
        """Candidates with this exit, and no other.

        Raises:
            ConfigError: There is no such exit point.
        """
        if not 1 <= self._exit <= space.exit_points:
            raise ConfigError(f"strategy.exit: found {self._exit}; allowed: 1 to {space.exit_points}")
        return space.confined(lambda point, threshold: (point + 1 == self._exit) == (threshold is not None))


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """The paper's search and two of those that it names."""
    return {"nsga2-joint": Nsga2Joint, "nsga2-backbone": Nsga2Backbone, "single-exit": SingleExit}
