"""The search of the EDANAS paper, on the whole space (`nsga2-joint`) or on a part of the space.

The parts are the backbones without early exits (`nsga2-backbone`) and with one exit (`single-exit`).
"""

from collections.abc import Callable, Mapping

from edanas.core.contracts import SearchStrategy
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.space import SearchSpace
from edanas.strategies.surrogate_nsga2 import SurrogateNsga2


class Nsga2Joint(SurrogateNsga2):
    """The search of EDANAS (Gambella and Roveri 2023, Section IV): backbone and thresholds in one genome.

    The method is NSGA-II on surrogates: the strategy `surrogate-nsga2` with the options of the paper and its
    public code. The initial archive is random, and each batch spreads evenly along the predicted front.

    Args:
        population: Number of candidates that survive each generation of NSGA-II, 2 or more.
        generations: Number of generations of NSGA-II in each iteration of the search.
        crossover: Probability that two parents exchange a contiguous part of their genes, in [0, 1].
        mutation: Mean number of genes that mutate in a child, above 0.
    """

    def __init__(
        self, population: int = 40, generations: int = 20, crossover: float = 0.9, mutation: float = 1.0
    ) -> None:
        super().__init__(
            population, generations, crossover, mutation, extremes=False, choice="spread", unguided=0.0
        )


class Nsga2Backbone(Nsga2Joint):
    """The search of CNAS (Gambella, Falcetta and Roveri 2022): `Nsga2Joint` on backbones without early exits.

    The results are single-exit networks. The thresholds in the settings must include "none".

    Args:
        population: Number of candidates that survive each generation of NSGA-II, 2 or more.
        generations: Number of generations of NSGA-II in each iteration of the search.
        crossover: Probability that two parents exchange a contiguous part of their genes, in [0, 1].
        mutation: Mean number of genes that mutate in a child, above 0.
        extremes: True if the initial archive holds the smallest and the largest backbone, as in MSuNAS (Lu et
            al., NSGANetV2, ECCV 2020).
    """

    def __init__(
        self,
        population: int = 40,
        generations: int = 20,
        crossover: float = 0.9,
        mutation: float = 1.0,
        extremes: bool = False,  # noqa: FBT001, FBT002 - settings pass options by name
    ) -> None:
        super().__init__(population, generations, crossover, mutation)
        self.extremes = extremes

    def confine(self, space: SearchSpace) -> SearchSpace:
        """Return the subspace of candidates without early exits."""
        return space.confined(lambda _point, threshold: threshold is None)


class SingleExit(Nsga2Joint):
    """The search of EExNAS (Odema, Rashid and Al Faruque 2021): backbones with one exit at a fixed place.

    Args:
        exit: Number of the exit point, counted from 1; default 1.
        population: Number of candidates that survive each generation of NSGA-II, 2 or more.
        generations: Number of generations of NSGA-II in each iteration of the search.
        crossover: Probability that two parents exchange a contiguous part of their genes, in [0, 1].
        mutation: Mean number of genes that mutate in a child, above 0.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(
        self,
        exit: int = 1,  # noqa: A002 - the option's name
        population: int = 40,
        generations: int = 20,
        crossover: float = 0.9,
        mutation: float = 1.0,
    ) -> None:
        super().__init__(population, generations, crossover, mutation)
        self._exit = exit

    def confine(self, space: SearchSpace) -> SearchSpace:
        """Return the subspace of candidates whose only exit is at the exit point `exit`.

        Raises:
            ConfigError: The search space has no exit point with this number.
        """
        if not 1 <= self._exit <= space.exit_points:
            raise ConfigError(f"strategy.exit: found {self._exit}; allowed: 1 to {space.exit_points}")
        return space.confined(lambda point, threshold: (point + 1 == self._exit) == (threshold is not None))


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Register the strategies `nsga2-joint`, `nsga2-backbone` and `single-exit`."""
    return {"nsga2-joint": Nsga2Joint, "nsga2-backbone": Nsga2Backbone, "single-exit": SingleExit}
