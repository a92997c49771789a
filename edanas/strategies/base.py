"""The base class of the built-in strategies, with initial archive, search history and random candidates."""

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
    """A strategy whose proposals depend only on the seed and on all evaluations so far.

    The proposals are the same if `tell` receives the evaluations in one call or in several calls. A subclass
    implements `propose`. If `propose` returns too few candidates, random candidates are added. A search
    therefore ends early only when no candidate is left.

    Example:
        >>> class FrontNeighbours(Remembering):
        ...     def propose(self, rng, count):
        ...         genomes, _ = self._history.front()
        ...         return rng.permutation(np.concatenate([self._space.neighbours(row) for row in genomes]))
    """

    extremes: bool = False
    """True if the initial archive holds two extreme candidates: first choices only, and last choices only."""

    def start(self, problem: SearchProblem) -> None:
        """See `SearchStrategy.start`."""
        self._problem = problem
        self._space = problem.space
        self._history = SearchHistory(problem.space, problem.objectives, problem.limits)
        self._allowed = StructureFilter(problem)
        self._pending: Genomes = self._history.genomes

    def initial(self) -> list[Candidate]:
        """Return the candidates of the initial archive.

        First come the candidates in `SearchProblem.first`, then the two extreme candidates if `extremes` is
        true, then random candidates.
        """
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

    def set_pending(self, genomes: Genomes) -> None:
        """See `SearchStrategy.set_pending`."""
        self._pending = genomes
        self._history.held.update(genome.tobytes() for genome in genomes)

    def ask(self, count: int) -> list[Candidate]:
        """Return `count` candidates that are not evaluated yet, or fewer if fewer are left.

        The proposals of `propose` come first, then random candidates.
        """
        # Two calls without a result between them differ in the number of pending candidates.
        pending = [len(self._pending)] if len(self._pending) else []
        rng = np.random.default_rng([self._problem.seed, len(self._history), *pending])
        chosen = np.asarray(self.propose(rng, count), dtype=np.int64).reshape(-1, self._space.dimensions)
        chosen = self._allowed(chosen[unseen(chosen, self._history.held)])[:count]
        held = self._history.held | {row.tobytes() for row in chosen}
        rest = self._allowed.draw(rng, count - len(chosen), held)
        return [self._space.decode(genome) for genome in (*chosen, *rest)]

    def front_of(self, genome: Genomes, values: Values) -> Values:
        """Return the trade-offs of an evaluated candidate, (k, J): k rows of J objective values.

        If the candidate's exit profile is known, the rows are the front over all thresholds. Otherwise the
        only row is `values`.

        Args:
            genome: Canonical genome of the candidate, (D,).
            values: Objective values of the candidate, (J,).
        """
        profile = self._history.profiles.get(genome.tobytes())
        if self._problem.front is None or profile is None:
            return values[None]
        return self._problem.front(self._space.decode(genome), profile)

    @abstractmethod
    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Return the canonical genomes of proposed candidates, (m, D), best first.

        The number m of proposals is free. The caller drops genomes that are already evaluated, and genomes
        beyond the first `count`.

        Args:
            rng: Random generator, the only source of randomness. Its seed depends on the search's seed and on
                the number of evaluations.
            count: Number of candidates that will be evaluated next.
        """


def check(option: str, value: float, is_allowed: bool, allowed: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Check one option of a strategy.

    Args:
        option: Name of the option.
        value: The value in the settings.
        is_allowed: True if the value is allowed.
        allowed: Description of the allowed values, for the error message.

    Raises:
        ConfigError: `is_allowed` is false.

    Example:
        >>> check("population", 40, 40 >= 2, "2 or more")
    """
    if not is_allowed:
        raise ConfigError(f"strategy.{option}: found {value}; allowed: {allowed}")
