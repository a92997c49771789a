"""Contracts of the search: objectives, meters, constraints, surrogate models and strategies."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from edanas.core.contracts.capabilities import derive
from edanas.core.contracts.exit_network import ExitNetwork
from edanas.core.contracts.networks import SupernetProvider
from edanas.core.counted_values import bounds, depends_on_accuracy
from edanas.core.errors import CostError
from edanas.core.progress import Progress
from edanas.core.space import SearchSpace
from edanas.core.types import (
    Backbone,
    Candidate,
    ExitPoint,
    ExitProfile,
    Metrics,
    Outcome,
    SegmentCost,
    SegmentFigures,
    Task,
)
from edanas.numerics.successive_halving import stops


@dataclass(frozen=True)
class Specimen:
    """A backbone whose costs a meter measures.

    Args:
        backbone: The choices of the backbone.
        provider: The provider of the supernet.
        task: The number of channels and of classes.
        stages: Counted costs of each of the M stages, with the shape of its features.
        heads: Counted costs of the head at each of the N exit points, inference rule and criterion included.
        last: Counted costs of the last exit.
        network: Builds an EENN on the backbone with fresh weights and a head at every exit point, in eval
            mode.

    Example:
        >>> from edanas.testing.toy_networks import ToyProvider
        >>> stage, head = SegmentCost(9, 1, 1, (4, 8, 8)), SegmentCost(3, 1, 1, (10, 1, 1))
        >>> backbone, task = Backbone.of({"resolution": 8}), Task(1, 10)
        >>> specimen = Specimen(backbone, ToyProvider(), task, (stage, stage), (head,), head, None)
        >>> specimen.points
        (ExitPoint(index=0, channels=4, height=8, width=8),)
    """

    backbone: Backbone
    provider: SupernetProvider
    task: Task
    stages: tuple[SegmentCost, ...]
    heads: tuple[SegmentCost, ...]
    last: SegmentCost
    network: Callable[[], ExitNetwork]

    @property
    def points(self) -> tuple[ExitPoint, ...]:
        """The N exit points, with the shape of the features there."""
        return tuple(ExitPoint(index, *stage.shape) for index, stage in enumerate(self.stages[:-1]))


class Meter(ABC):
    """Measures the cost of each segment of a backbone in the meter's unit: time, bit operations, bytes sent.

    The costs of segments are called figures. The costs of candidates follow from the figures by arithmetic.

    Example:
        >>> class Layers(Meter):
        ...     counted, name = True, "stages and heads run"
        ...     def figures(self, specimen):
        ...         return SegmentFigures((1,) * len(specimen.stages), (1,) * len(specimen.heads), 1)
        >>> metrics = Metrics(
        ...     *(0.9, (0.5, 0.5), (1.0, 0.8), 1.0, 1.0, 0.9, 2, 1, 1),
        ...     exit_figures={"stages and heads run": (2.0, 4.0)},
        ... )
        >>> Layers().mean(metrics)
        3.0
    """

    counted: ClassVar[bool] = False
    """True if the figures of a backbone are reproducible and quickly computed.

    The figures of other meters are measured once for each backbone and stored in the run's folder, so that a
    resumed run uses the same figures.
    """

    footprints: bool = False
    """True if the meter reads `SegmentCost.footprint` of the specimen's segments."""

    name: str
    """The key of the meter's figures in `Metrics.exit_figures`; equal names mean equal measures."""

    @abstractmethod
    def figures(self, specimen: Specimen) -> SegmentFigures:
        """Return the figures of each stage, of the head at each exit point, and of the last exit.

        Raises:
            CostError: The figures cannot be measured.
        """

    def by_exit(self, metrics: Metrics) -> tuple[float | None, ...]:
        """Return the cost of a sample that exits at each exit point (`None` = no exit), and at the last exit.

        Raises:
            CostError: The metrics do not hold this meter's figures.
        """
        if self.name not in metrics.exit_figures:
            known = ", ".join(metrics.exit_figures) or "none"
            raise CostError(f"the metrics hold no figures of '{self.name}'; found: {known}")
        return metrics.exit_figures[self.name]

    def mean(self, metrics: Metrics) -> float:
        """Return the average cost of a sample.

        Raises:
            CostError: The metrics do not hold this meter's figures.
        """
        pairs = zip(metrics.utilization, self.by_exit(metrics), strict=True)
        return sum(share * figure for share, figure in pairs if figure is not None)


class Objective(ABC):
    """One number to optimise, derived from an evaluation's metrics.

    Example:
        >>> from edanas.goals.objectives import Accuracy
        >>> Accuracy.maximise, Accuracy.structural
        (True, False)
    """

    maximise: ClassVar[bool] = False
    """True if larger values are better."""

    unit: ClassVar[str] = ""
    """The unit of the value, for reports."""

    structural: bool = False
    """True if the value follows from the candidate's structure alone, without accuracies and utilization.

    The value is then known before the evaluation.
    """

    footprints: bool = False
    """True if the value needs the memory of a candidate (`Metrics.ram`, `flash` or `exit_ram`)."""

    by_class: bool = False
    """True if the value depends on the accuracies of classes, which no surrogate of exit profiles predicts.

    Surrogates then predict the value itself.
    """

    meters: tuple[Meter, ...] = ()
    """The meters whose figures the metrics of every candidate must hold for this objective."""

    macs: Literal["ada", "executed"] | None = None
    """The kind of multiply-adds that decides the value as thresholds change.

    `ada` stands for ADA_MACS, `executed` for executed MACs, and `None` for neither.
    """

    @abstractmethod
    def value(self, metrics: Metrics) -> float:
        """Return the value in `unit`; the engine itself changes the sign of maximised values.

        Raises:
            CostError: The metrics lack a required cost.
        """


class Constraint(ABC):
    """A condition that every result must keep, and the distance of a candidate from it.

    Example:
        >>> class AtMostTwoExits(Constraint):
        ...     basis = "choices"
        ...     def excess(self, candidate, metrics):
        ...         return (candidate.scheme.exits - 2) / 2
        ...     def describe(self, candidate, metrics):
        ...         return f"exits is {candidate.scheme.exits}; allowed: at most 2"
        >>> from edanas.core.types import SelectionScheme
        >>> AtMostTwoExits().excess(Candidate(Backbone(()), SelectionScheme((0.5, 0.5, 0.5))), None)
        0.5
    """

    basis: Literal["choices", "costs", "outcome"] = "outcome"
    """The values that decide whether the constraint is kept.

    They are the candidate's `choices`; its `costs`, which also follow from the structure alone; or the
    `outcome` of an evaluation. A candidate whose choices or costs break a constraint is not evaluated.
    """

    meters: tuple[Meter, ...] = ()
    """The meters whose figures the metrics of every candidate must hold for this constraint."""

    footprints: bool = False
    """True if the constraint needs the memory of a candidate, as `Objective.footprints`."""

    def prepare(self, space: SearchSpace) -> None:  # noqa: B027 - most have nothing to look for in a space
        """Check the constraint against the search space; called once, before the search.

        Raises:
            ConfigError: The space lacks a variable that the constraint names.
        """

    @abstractmethod
    def excess(self, candidate: Candidate, metrics: Metrics | None) -> float:
        """Return the distance of the candidate from the limit: 0 or less where the constraint is kept.

        The distance is a fraction of the limit, without unit, since excesses of several constraints are
        added. It grows with the limited value, also if the constraint is kept, so that surrogates can predict
        it.

        Args:
            candidate: The candidate.
            metrics: Metrics of the candidate; `None` only if `basis` is `choices`. If `basis` is `costs`, the
                accuracies and the utilization are arbitrary.
        """

    @abstractmethod
    def describe(self, candidate: Candidate, metrics: Metrics | None) -> str:
        """Return the candidate's value and the limit as text: `params is 1.2M; allowed: at most 1M`.

        See `excess` for the arguments.
        """


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
