"""The base class of the built-in strategies: initial archive, search history, random candidates."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import SearchProblem, SearchStrategy
from edanas.core.errors import ConfigError
from edanas.core.types import Candidate, ExitProfile
from edanas.strategies.search_history import Genomes, SearchHistory, Values, unseen
from edanas.strategies.structure_filter import StructureFilter


class Remembering(SearchStrategy):
    """A strategy whose state is the seed and the evaluations so far.

    The division of evaluations into calls of `tell` does not matter. A subclass implements `propose`. Random
    candidates fill up what it leaves open, so a search ends only where the space is exhausted.

    Example:
        >>> class FrontNeighbours(Remembering):
        ...     def propose(self, rng, count):
        ...         genomes, _ = self._history.front()
        ...         return rng.permutation(np.concatenate([self._space.neighbours(row) for row in genomes]))
    """

    extremes: bool = False
    """True = the initial archive holds the candidates of all first and of all last choices."""

    def start(self, problem: SearchProblem) -> None:
        """See `SearchStrategy.start`."""
        self._problem = problem
        self._space = problem.space
        self._history = SearchHistory(problem.space, problem.objectives, problem.limits)
        self._allowed = StructureFilter(problem)

    def initial(self) -> list[Candidate]:
        """Return the problem's first candidates, then the extremes if set, then random candidates."""
        space, count = self._space, self._problem.initial
        first = [space.encode(candidate) for candidate in self._problem.first]
        ends = [np.zeros_like(space.counts), space.counts - 1] if self.extremes else []
        rows = space.canonical(np.array([*first, *ends], dtype=np.int64).reshape(-1, space.dimensions))
        rows = self._allowed(rows[unseen(rows, set())])[:count]
        rng = np.random.default_rng([self._problem.seed, 0])
        rest = self._allowed.draw(rng, count - len(rows), {row.tobytes() for row in rows})
        return [space.decode(genome) for genome in (*rows, *rest)]

    def tell(
        self,
        genomes: Genomes,
        objectives: npt.NDArray[np.float64],
        profiles: Sequence[ExitProfile | None] = (),
        excesses: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """See `SearchStrategy.tell`."""
        self._history.add(genomes, objectives, profiles, excesses)

    def ask(self, count: int) -> list[Candidate]:
        """Return the proposals, then random candidates that are not evaluated yet; all where few are left."""
        rng = np.random.default_rng([self._problem.seed, len(self._history)])
        chosen = np.asarray(self.propose(rng, count), dtype=np.int64).reshape(-1, self._space.dimensions)
        chosen = self._allowed(chosen[unseen(chosen, self._history.held)])[:count]
        held = self._history.held | {row.tobytes() for row in chosen}
        rest = self._allowed.draw(rng, count - len(chosen), held)
        return [self._space.decode(genome) for genome in (*chosen, *rest)]

    def front_of(self, genome: Genomes, values: Values) -> Values:
        """Return an evaluated candidate's trade-offs (k, J), over all thresholds if its profile is known."""
        profile = self._history.profiles.get(genome.tobytes())
        if self._problem.front is None or profile is None:
            return values[None]
        return self._problem.front(self._space.decode(genome), profile)

    @abstractmethod
    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Return canonical genomes (m, D), best first, of m proposals with D genes.

        Evaluated genomes, and genomes beyond `count`, are dropped by the caller.

        Args:
            rng: The only source of randomness; it depends on the seed and the number of evaluations.
            count: Number of candidates that will be evaluated.
        """


def check(option: str, value: float, is_allowed: bool, allowed: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Check one option of a strategy.

    Raises:
        ConfigError: `is_allowed` is false.

    Example:
        >>> check("population", 40, 40 >= 2, "2 or more")
    """
    if not is_allowed:
        raise ConfigError(f"strategy.{option}: found {value}; allowed: {allowed}")
