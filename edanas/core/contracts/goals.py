"""Contracts of goals: objectives with their meters, and constraints."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from edanas.core.contracts.exit_network import ExitNetwork
from edanas.core.contracts.networks import SupernetProvider
from edanas.core.errors import CostError
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, Candidate, ExitPoint, Metrics, SegmentCost, SegmentFigures, Task


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
