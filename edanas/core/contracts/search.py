"""Contracts of the search: surrogate models and strategies."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from edanas.core.contracts.capabilities import derive
from edanas.core.counted_values import bounds, depends_on_accuracy
from edanas.core.progress import Progress
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, ExitProfile, Outcome
from edanas.numerics.successive_halving import stops


@dataclass(frozen=True)
class ExitInsight:
    """Exit profiles and exact costs of candidates, for surrogates that model exits.

    Args:
        space: Maps genomes to candidates.
        profiles: Exit profiles by the bytes of a canonical genome (D,) int64. Some evaluated candidates may
            lack a profile.
        value: Returns the minimised value of the surrogate's objective for a candidate with a hypothetical
            outcome. Costs are exact, counted from the candidate's structure. The value is NaN if only an
            evaluation decides it.

    Example:
        >>> from edanas.testing.toy_search import toy_space
        >>> len(ExitInsight(toy_space(), {}, lambda candidate, outcome: 0.0).profiles)
        0
    """

    space: SearchSpace
    profiles: Mapping[bytes, ExitProfile]
    value: Callable[[Candidate, Outcome], float]
    _bounds: dict[bytes, tuple[float, float]] = field(default_factory=dict, init=False, repr=False)

    def bounds(self, genomes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the values (n, 2) of candidates if all samples exit as late, and as early, as they can.

        See `edanas.core.counted_values.bounds`. The values are counted once for each candidate.

        Args:
            genomes: Genomes of n candidates, (n, D).
        """
        rows = self.space.canonical(np.rint(genomes).astype(np.int64))
        for row in rows:
            if row.tobytes() not in self._bounds:
                self._bounds[row.tobytes()] = bounds(self.value, self.space.decode(row))
        return np.array([self._bounds[row.tobytes()] for row in rows]).reshape(-1, 2)

    def counts(self, genomes: npt.NDArray[Any]) -> bool:
        """Return true if the value follows from the structure alone, at least for these candidates.

        Args:
            genomes: Genomes of n >= 1 candidates, (n, D).
        """
        late, early = self.bounds(genomes).T
        rows = self.space.canonical(np.rint(genomes).astype(np.int64))
        return bool((late == early).all()) and not any(
            depends_on_accuracy(self.value, self.space.decode(row)) for row in rows
        )


class SurrogateModel(ABC):
    """A regressor from a genome to one objective. All randomness comes from the factory's argument `seed`.

    Example:
        >>> from edanas.surrogates.rbf import RBF
        >>> genomes = np.array([[0.0], [1.0], [2.0]])
        >>> RBF().fit(genomes, np.array([0.0, 1.0, 2.0])).predict(genomes).round(3)
        array([0., 1., 2.])
    """

    reads_profiles: bool = False
    """True if `inform` is implemented; a subclass that overrides `inform` gets this automatically."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        derive(cls, "reads_profiles", "inform")

    def inform(self, insight: ExitInsight) -> None:  # noqa: B027 - most models learn from genes and values alone
        """Receive exit profiles and counted costs; called before `fit` if costs follow from the structure.

        The model may use only the profiles of genomes that `fit` receives; all other profiles are held out.
        There may be no profile at all.
        """

    @abstractmethod
    def fit(self, genomes: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> Self:
        """Fit the model, and return the model itself.

        Args:
            genomes: Genes (n, D) of n >= 2 candidates; rows may repeat.
            values: Values (n,) of the objective.
        """

    @abstractmethod
    def predict(self, genomes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return finite predictions (n,) for genes (n, D)."""

    def cross_validate(
        self,
        genomes: npt.NDArray[np.float64],
        values: npt.NDArray[np.float64],
        folds: Sequence[npt.NDArray[np.int64]],
    ) -> npt.NDArray[np.float64]:
        """Return predictions (n,) by cross-validation: a fold is predicted after a fit on all other folds.

        Adaptive switching compares models by these predictions. A model that can fit all folds at once may
        override this method.

        Args:
            genomes: Genes (n, D) of n candidates.
            values: Values (n,) of the objective.
            folds: Arrays of indices; every index from 0 to n - 1 is in exactly one array.
        """
        held_out = np.empty(len(values))
        for fold in folds:
            rest = np.setdiff1d(np.arange(len(values)), fold)
            held_out[fold] = copy.deepcopy(self).fit(genomes[rest], values[rest]).predict(genomes[fold])
        return held_out


@dataclass(frozen=True)
class SearchProblem:
    """The task of a search strategy.

    Args:
        space: Maps genomes to candidates.
        objectives: Number J of objectives.
        surrogate: Returns a fresh surrogate model for one objective, from a seed.
        seed: The run's seed.
        initial: The number of candidates in the initial archive.
        progress: Shows progress bars.
        first: Distinct candidates at the start of the initial archive, e.g. the best candidates of an older
            run.
        judge: Returns the J minimised values, then the M excesses, of a candidate with a hypothetical
            outcome and exact costs; `None` if only an evaluation measures costs. A value is NaN if only an
            evaluation decides it.
        front: Returns the front of a backbone over continuous thresholds from a candidate and its exit
            profile: minimised values (k, J), infinite where a constraint is broken. `None` if thresholds are
            genes.
        limits: Number M of constraints that need an evaluation.
        structure: Returns a candidate's violation of the constraints that depend on its structure alone.
            Candidates with a violation above 0 are never evaluated. `None` = no constraint depends on the
            structure alone.

    Example:
        >>> from edanas.testing.toy_search import toy_problem, toy_space
        >>> toy_problem(toy_space(), initial=6).initial
        6
    """

    space: SearchSpace
    objectives: int
    surrogate: Callable[[int], SurrogateModel]
    seed: int
    initial: int
    progress: Progress
    first: tuple[Candidate, ...] = ()
    judge: Callable[[Candidate, Outcome], Sequence[float]] | None = None
    front: Callable[[Candidate, ExitProfile], npt.NDArray[np.float64]] | None = None
    limits: int = 0
    structure: Callable[[Candidate], float] | None = None


class SearchStrategy(ABC):
    """Chooses the candidates to evaluate.

    Candidates must depend on the seed and on the evaluations that `tell` received, and on nothing else. A
    resumed run passes the whole archive to a fresh strategy, which must then choose the same candidates as
    the strategy of the interrupted run.

    Example:
        >>> from edanas.strategies.random_search import RandomSearch
        >>> from edanas.testing.toy_search import toy_problem, toy_space
        >>> strategy = RandomSearch()
        >>> strategy.start(toy_problem(toy_space(), initial=6))
        >>> len(strategy.initial())
        6
    """

    nested: ClassVar[bool] = False
    """True if the strategy searches backbones only. It then requires continuous thresholds.

    `problem.front` returns the objective values of a backbone's best thresholds.
    """

    def confine(self, space: SearchSpace) -> SearchSpace:
        """Return the part of a run's space that the strategy searches; by default the whole space.

        The run calls this method once, before `start`. Candidates outside the part are not results either.

        Raises:
            ConfigError: The space lacks a choice that the strategy needs.
        """
        return space

    @abstractmethod
    def start(self, problem: SearchProblem) -> None:
        """Begin a search; called once. `problem.space` is the space that `confine` returned."""

    @abstractmethod
    def initial(self) -> list[Candidate]:
        """Return at most `problem.initial` distinct candidates, beginning with `problem.first`."""

    @abstractmethod
    def tell(
        self,
        genomes: npt.NDArray[np.int64],
        objectives: npt.NDArray[np.float64],
        profiles: Sequence[ExitProfile | None] = (),
        excesses: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """Receive the n evaluations since the last call, in their order.

        Args:
            genomes: Canonical genomes (n, D) of n candidates.
            objectives: Minimised values (n, J) in the J objectives; a failed candidate has a row of NaN.
            profiles: Exit profile of each candidate, or `None` if it has no profile; empty, the default,
                means that no candidate has a profile.
            excesses: Excesses (n, M) over the M constraints that need an evaluation; 0 or less if the
                constraint is kept. With continuous thresholds, a row belongs to the backbone's selection
                scheme with the smallest violation. A failed candidate has a row of NaN. `None`, the default,
                means that M is 0.
        """

    def set_pending(self, genomes: npt.NDArray[np.int64]) -> None:  # noqa: B027 - the engine drops repetitions
        """Receive the candidates that are in work, before each `ask` of an asynchronous search.

        `ask` should return other candidates. The results of all pending candidates follow in later calls of
        `tell`. By default, they are ignored.

        Args:
            genomes: Canonical genomes (n, D) of the n candidates in work.
        """

    @abstractmethod
    def ask(self, count: int) -> list[Candidate]:
        """Return at most `count` distinct candidates that were not evaluated yet; empty = none is left."""

    def stopping(self) -> Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64], int], bool]:
        """Return the answer to partial results: a picklable function that ends the training of a candidate.

        It is called at the end of each rung of a training, and returns true to end the training. Its first
        argument is the candidate's minimised values (J,) in the J objectives. The second is the values (n,
        J) of the n earlier candidates at that rung, the third the evaluation's reduction factor. By default,
        it is ASHA's rule with Pareto dominance, `edanas.numerics.successive_halving.stops`.
        """
        return stops

    def notes(self) -> dict[str, str]:
        """Return notes on the last `ask` for the log, by name.

        A `SurrogateNote` with the name `objective 1` states the surrogate model of the first objective and
        its Kendall's tau, which reports and loggers show. Other notes are plain text.
        """
        return {}
