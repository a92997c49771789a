"""What the strategies share: the initial archive, a memory of what was told, and never asking in vain."""

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
    """A strategy whose whole state is the seed and what it was told, in whatever pieces.

    A child says how it chooses; what it leaves open is filled with random candidates, so that a search ends
    only where the space does.

    `extremes` says whether the initial archive holds the candidates of all first and of all last choices.
    """

    extremes: bool = False

    def start(self, problem: SearchProblem) -> None:
        """See `SearchStrategy.start`."""
        self._problem = problem
        self._space = problem.space
        self._history = SearchHistory(problem.space, problem.objectives, problem.limits)
        self._allowed = StructureFilter(problem)

    def initial(self) -> list[Candidate]:
        """What the problem wants first, then the extremes where they are wanted, then random candidates."""
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
        """What the strategy proposes, then random candidates that were never told, or all that are left."""
        rng = np.random.default_rng([self._problem.seed, len(self._history)])
        chosen = np.asarray(self.propose(rng, count), dtype=np.int64).reshape(-1, self._space.dimensions)
        chosen = self._allowed(chosen[unseen(chosen, self._history.held)])[:count]
        held = self._history.held | {row.tobytes() for row in chosen}
        rest = self._allowed.draw(rng, count - len(chosen), held)
        return [self._space.decode(genome) for genome in (*chosen, *rest)]

    def front_of(self, genome: Genomes, values: Values) -> Values:
        """What an evaluated candidate offers (k, J): over all thresholds where its exit profile answers."""
        profile = self._history.profiles.get(genome.tobytes())
        if self._problem.front is None or profile is None:
            return values[None]
        return self._problem.front(self._space.decode(genome), profile)

    @abstractmethod
    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Canonical genomes (m, D), best first; what was told already, and all beyond `count`, is dropped.

        Args:
            rng: The only source of randomness; it follows from the seed and from how much was told.
            count: How many will be evaluated.
        """


def check(option: str, found: float, good: bool, allowed: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Check one option of a strategy.

    Raises:
        ConfigError: It is not `good`.
    """
    if not good:
        raise ConfigError(f"strategy.{option}: found {found}; allowed: {allowed}")
