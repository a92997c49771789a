"""Contracts of the search: objectives, surrogate models, strategies."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from edanas.core.contracts.capabilities import derive
from edanas.core.contracts.exit_network import ExitNetwork
from edanas.core.contracts.networks import SupernetProvider
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


@dataclass(frozen=True)
class Specimen:
    """A backbone that a meter is shown.

    Args:
        backbone: Its choices.
        provider: Knows what they mean.
        task: What it is built for.
        stages: What each of the M stages costs, as counted, with the shape of its features.
        heads: The same of the head at each of the N exit points, with what decides there.
        last: The same of the last exit.
        network: Builds an EENN of it with fresh weights and a head at every exit point, in eval mode.
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
    """Tells what each segment of a backbone costs in a unit of its own: time, bit operations, bytes sent.

    What a candidate costs is arithmetic on that. `name` is that of its entry in `Metrics.exit_figures`: two
    meters of one name tell the same. `counted` says whether the same backbone always gets the same figures,
    at once: others are asked once for a backbone, and what they told is kept in the run's folder, or else a
    resumed run would be another one.
    """

    counted: ClassVar[bool] = False
    name: str

    @abstractmethod
    def figures(self, specimen: Specimen) -> SegmentFigures:
        """Of each stage, of the head at each exit point, and of the last exit.

        Raises:
            CostError: They cannot be told.
        """

    def by_exit(self, metrics: Metrics) -> tuple[float | None, ...]:
        """What leaving at each exit point (`None` where no exit stands) and at the last exit costs.

        Raises:
            CostError: The metrics do not hold this meter's figures.
        """
        if self.name not in metrics.exit_figures:
            known = ", ".join(metrics.exit_figures) or "none"
            raise CostError(f"the metrics hold no figures of '{self.name}'; found: {known}")
        return metrics.exit_figures[self.name]

    def mean(self, metrics: Metrics) -> float:
        """What a sample costs on average.

        Raises:
            CostError: As `by_exit`.
        """
        pairs = zip(metrics.utilization, self.by_exit(metrics), strict=True)
        return sum(share * figure for share, figure in pairs if figure is not None)


class Objective(ABC):
    """One number to optimise, derived from an evaluation's metrics.

    `structural` says whether it follows from the candidate's structure alone (a cost that does not depend on
    accuracies or utilization): what it is worth is then known before anything is evaluated.
    """

    maximise: ClassVar[bool] = False
    unit: ClassVar[str] = ""
    structural: bool = False
    meters: tuple[Meter, ...] = ()
    """What must be asked for every candidate, so that metrics have what the value is made of."""

    macs: Literal["ada", "executed"] | None = None
    """Which multiply-adds its value follows as thresholds move: ADA_MACS, executed MACs, or neither."""

    @abstractmethod
    def value(self, metrics: Metrics) -> float:
        """The number in its own direction and unit; the engine minimises inside.

        Raises:
            CostError: The metrics lack what it is made of.
        """


class Constraint(ABC):
    """What a candidate must keep to be a result; how far beyond it is, where it does not.

    `basis` says what decides: the candidate's own `choices`; its `costs`, which follow from the structure
    alone, too; or the `outcome` of an evaluation. What the structure decides is known before anything is
    evaluated, and a candidate that breaks it is not.
    """

    basis: Literal["choices", "costs", "outcome"] = "outcome"
    meters: tuple[Meter, ...] = ()
    """As those of an `Objective`."""

    def prepare(self, space: SearchSpace) -> None:  # noqa: B027 - most have nothing to look for in a space
        """Called once, before the search.

        Raises:
            ConfigError: The space has not what the constraint speaks of.
        """

    @abstractmethod
    def excess(self, candidate: Candidate, metrics: Metrics | None) -> float:
        """How far the candidate is beyond what is allowed: 0 or less where the constraint is kept.

        Without unit, as a share of what is allowed: excesses of several constraints are added up. It grows
        with what is found, also where the constraint is kept, so that it can be predicted.

        Args:
            candidate: The candidate.
            metrics: `None` is only given where the basis is `choices`. Where it is `costs`, accuracies and
                utilization may be anything.
        """

    @abstractmethod
    def describe(self, candidate: Candidate, metrics: Metrics | None) -> str:
        """What was found and what is allowed, e.g. `params is 1.2M; allowed: at most 1M`."""


@dataclass(frozen=True)
class ExitInsight:
    """What is known of candidates beside genes and values, for surrogates that know what an exit is.

    Args:
        space: What genomes mean.
        profiles: Exit profiles by the bytes of a canonical genome (D,) int64; not every candidate has one.
        value: The surrogate's objective, minimised, for a candidate whose exits behave like the outcome; its
            costs are exact, counted from the candidate's structure.
    """

    space: SearchSpace
    profiles: Mapping[bytes, ExitProfile]
    value: Callable[[Candidate, Outcome], float]


class SurrogateModel(ABC):
    """A regressor from a genome to one objective. All randomness comes from the argument `seed`."""

    reads_profiles: bool = False
    """Whether `inform` is implemented. A subclass that overrides `inform` need not declare it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        derive(cls, "reads_profiles", "inform")

    def inform(self, insight: ExitInsight) -> None:  # noqa: B027 - most models learn from genes and values alone
        """Called before `fit` where exit profiles are kept; most models have no use for them.

        A profile may only be used for a genome that `fit` is given: the others are held out.
        """

    @abstractmethod
    def fit(self, genomes: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> Self:
        """Learn (n, D) genes -> (n,) values; n >= 2, duplicates allowed. Returns itself."""

    @abstractmethod
    def predict(self, genomes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(n, D) genes -> (n,) finite values."""

    def cross_validate(
        self,
        genomes: npt.NDArray[np.float64],
        values: npt.NDArray[np.float64],
        folds: Sequence[npt.NDArray[np.int64]],
    ) -> npt.NDArray[np.float64]:
        """(n,) predictions, each sample's made by a model fitted on the other folds; for adaptive switching.

        Args:
            genomes: (n, D) genes.
            values: (n,) what to predict.
            folds: Disjoint index arrays that together hold 0..n-1 once. A model that can fit all folds at
                once overrides this.
        """
        held_out = np.empty(len(values))
        for fold in folds:
            rest = np.setdiff1d(np.arange(len(values)), fold)
            held_out[fold] = copy.deepcopy(self).fit(genomes[rest], values[rest]).predict(genomes[fold])
        return held_out


@dataclass(frozen=True)
class SearchProblem:
    """What a search strategy works on.

    Args:
        space: Genomes and candidates.
        objectives: How many numbers `SearchStrategy.tell` receives for each evaluation, all minimised.
        surrogate: A fresh surrogate model for one objective, from a seed.
        seed: The run's seed.
        initial: How many candidates the initial archive holds.
        progress: Where to show what takes long.
        first: Candidates that the initial archive begins with, e.g. an older run's best ones; distinct.
        judge: The J minimised values and M excesses of a candidate whose exits behave like an outcome, with
            exact costs; `None` where only a measurement tells.
        front: All trade-offs that one backbone offers over continuous thresholds, (k, J) minimised values,
            infinite where a constraint is broken, from its candidate and exit profile; `None` where
            thresholds are genes.
        limits: M, how many constraints only an evaluation decides.
        structure: By how much a candidate breaks the constraints that its structure decides, 0 where it
            keeps them all; others are never evaluated. `None` where there are no such constraints.
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
    """Chooses what to evaluate next.

    Every answer must be a function of the seed and of what was told, and of nothing else: a resumed run tells
    a fresh strategy the whole archive and must get the candidates that the interrupted one got.

    `nested` says whether it moves in backbones only, each with all its thresholds: it then works where
    thresholds are continuous (`problem.front` is there), and nowhere else.
    """

    nested: ClassVar[bool] = False

    def confine(self, space: SearchSpace) -> SearchSpace:
        """The part of a run's space that is searched: what is outside is no result either. All, if left out.

        Called once, before anything else.

        Raises:
            ConfigError: The space has not what the strategy searches.
        """
        return space

    @abstractmethod
    def start(self, problem: SearchProblem) -> None:
        """Called once, after `confine`: `problem.space` is what that returned."""

    @abstractmethod
    def initial(self) -> list[Candidate]:
        """The initial archive's candidates, distinct, at most `problem.initial`; `problem.first` first."""

    @abstractmethod
    def tell(
        self,
        genomes: npt.NDArray[np.int64],
        objectives: npt.NDArray[np.float64],
        profiles: Sequence[ExitProfile | None] = (),
        excesses: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """What was evaluated since the last call, in order.

        Args:
            genomes: (n, D) genes.
            objectives: (n, J) minimised values; a failed candidate has a row of NaN.
            profiles: For each row its exit profile, `None` where none was kept; empty = none at all.
            excesses: (n, M) by how much each is beyond the constraints that an evaluation decides, 0 or less
                where it keeps one; where thresholds are continuous, of the trade-off that breaks them least.
                A failed candidate has a row of NaN. `None` = there are none.
        """

    @abstractmethod
    def ask(self, count: int) -> list[Candidate]:
        """At most `count` distinct candidates that were never told; empty when the space is exhausted."""

    def notes(self) -> dict[str, str]:
        """What the last `ask` has to tell the log, e.g. which surrogate won with which tau."""
        return {}
