"""The strategy `random`: the baseline that every other one has to beat."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import SearchProblem, SearchStrategy
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Candidate, ExitProfile
from edanas.strategies.history import History, draw


class RandomSearch(SearchStrategy):
    """Distinct random candidates, each expressed gene uniform over its choices."""

    def start(self, problem: SearchProblem) -> None:
        """See `SearchStrategy.start`."""
        self._problem = problem
        self._history = History(problem.space, problem.objectives)

    def initial(self) -> list[Candidate]:
        """As many random candidates as the problem asks for, or the whole space."""
        rng = np.random.default_rng([self._problem.seed, 0])
        genomes = draw(self._problem.space, rng, self._problem.initial, set())
        return [self._problem.space.decode(genome) for genome in genomes]

    def tell(
        self,
        genomes: npt.NDArray[np.int64],
        objectives: npt.NDArray[np.float64],
        _profiles: Sequence[ExitProfile | None] = (),
    ) -> None:
        """See `SearchStrategy.tell`."""
        self._history.add(genomes, objectives)

    def ask(self, count: int) -> list[Candidate]:
        """`count` random candidates that were never told, or all that are left."""
        rng = np.random.default_rng([self._problem.seed, len(self._history)])
        genomes = draw(self._problem.space, rng, count, self._history.held)
        return [self._problem.space.decode(genome) for genome in genomes]


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """The baseline."""
    return {"random": RandomSearch}
