"""The evaluations of a search in memory: genomes, objective values, violations and the hypervolume."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edanas.core.attempt import AttemptResult, reason
from edanas.core.contracts import Objective
from edanas.core.errors import CandidateError
from edanas.core.feasible import Feasibility
from edanas.core.objective_values import minimised
from edanas.core.types import Candidate, Evaluation, ExitProfile, Metrics
from edanas.numerics.pareto import normalised_hypervolume, reference_point

Values = npt.NDArray[np.float64]


class Front(Protocol):
    """Computes the front of an evaluated backbone; `edanas.core.fronts.Fronts` implements this protocol."""

    def __call__(self, candidate: Candidate, profile: ExitProfile, /) -> Values:
        """Return the minimised objective values (k, J) of the k Pareto-optimal selection schemes."""

    def violations(self, candidate: Candidate, profile: ExitProfile, /) -> Values:
        """Return how much each of the k schemes violates the constraints, (k,); 0 = feasible."""

    def nearest(self, candidate: Candidate, profile: ExitProfile, /) -> list[float]:
        """Return the M excesses of the Pareto-optimal scheme with the smallest violation."""


class Worth(NamedTuple):
    """Values of one evaluation; all are NaN if it failed.

    Args:
        values: Minimised values (J,) of the candidate in the J objectives.
        excesses: Excesses (M,) over the M constraints that need an evaluation.
        trade_offs: Minimised values (k, J) that count for the hypervolume if they are feasible. They belong
            to the k schemes of the backbone's front, or to the candidate alone (k = 1).
        violations: Violation (k,) of each row of `trade_offs`.
    """

    values: list[float]
    excesses: list[float]
    trade_offs: Values
    violations: Values


class Ledger:
    """The evaluations of one search, in order, with their values.

    Args:
        objectives: The J objectives.
        front: Computes the front of a backbone if thresholds are continuous. `None`, the default, means that
            each candidate counts with its own values only.
        limits: The constraints; `None`, the default, means that there are none.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        front: Front | None = None,
        limits: Feasibility | None = None,
    ) -> None:
        self.objectives = tuple(objectives)
        self.evaluations: list[Evaluation] = []
        self.genomes: list[npt.NDArray[np.int64]] = []
        self.values: list[list[float]] = []
        self.excesses: list[list[float]] = []
        self._front, self._limits = front, limits or Feasibility()
        self._worth: list[Worth] = []

    def __len__(self) -> int:
        return len(self.evaluations)

    @property
    def reads_profiles(self) -> bool:
        """True if the values of an evaluation depend on its exit profile: thresholds are continuous."""
        return self._front is not None

    def rows(self, iteration: int) -> list[int]:
        """Return the indices in `evaluations` of an iteration's evaluations."""
        return [i for i, e in enumerate(self.evaluations) if e.iteration == iteration]

    def to_evaluation(
        self, candidate: Candidate, iteration: int, answer: AttemptResult | CandidateError
    ) -> Evaluation:
        """Turn an executor's result into an evaluation.

        The evaluation is a failure, too, if an objective or a constraint cannot be computed.
        """
        result = AttemptResult(reason(answer), 0.0, None) if isinstance(answer, CandidateError) else answer
        outcome, seconds, packed = result[:3]
        profile = packed.opened if packed and self.reads_profiles else None
        if isinstance(outcome, Metrics):
            try:
                violation = float(self._measured(candidate, outcome, profile).violations.min())
                return Evaluation(candidate, iteration, outcome, seconds=seconds, violation=violation)
            except Exception as error:
                outcome = reason(error)
        return Evaluation(candidate, iteration, None, outcome, seconds)

    def add(self, genome: npt.NDArray[np.int64], evaluation: Evaluation, profile: ExitProfile | None) -> None:
        """Append an evaluation, either new or replayed from the archive.

        Args:
            genome: Canonical genome (D,) of the candidate.
            evaluation: The evaluation.
            profile: Exit profile of the candidate; `None` if the evaluation keeps none, or if
                `reads_profiles` is false.
        """
        worth = self._measured(evaluation.candidate, evaluation.metrics, profile)
        self.evaluations.append(evaluation)
        self.genomes.append(genome)
        self.values.append(worth.values)
        self.excesses.append(worth.excesses)
        self._worth.append(worth)

    def _measured(self, candidate: Candidate, metrics: Metrics | None, profile: ExitProfile | None) -> Worth:
        if metrics is None:
            failed = [math.nan] * len(self.objectives)
            return Worth(failed, [math.nan] * self._limits.limits, np.array([failed]), np.array([math.nan]))
        values = [float(value) for value in minimised(self.objectives, metrics)]
        for objective, value in zip(self.objectives, values, strict=True):
            if not math.isfinite(value):
                raise CandidateError(
                    f"objective {type(objective).__name__} is {value}; allowed: a finite number"
                )
        if self._front is None:
            violation = self._limits.violation(candidate, metrics)
            excesses = self._limits.excesses(candidate, metrics)
            return Worth(values, excesses, np.array([values]), np.array([violation]))
        if profile is None:
            raise CandidateError("thresholds are continuous, but the evaluation keeps no exit profile")
        trade_offs, violations = self._front(candidate, profile), self._front.violations(candidate, profile)
        return Worth(values, self._front.nearest(candidate, profile), trade_offs, violations)

    def box(self) -> tuple[Values, Values]:
        """Return the ideal and the reference point (J,) of the hypervolume, from the initial archive.

        The ideal is 0 for a minimised objective, e.g. a cost, and 1 for a maximised objective, e.g. a
        fraction. If the best value in the initial archive is better, that value is the ideal. Infeasible
        candidates count, too. Both points have the sign of minimised values.

        Raises:
            CandidateError: No evaluation of the initial archive succeeded.
        """
        fronts = [self._worth[i].trade_offs for i in self.rows(0) if self.evaluations[i].ok]
        if not fronts:
            raise CandidateError(self._nothing_succeeded())
        points = np.concatenate(fronts)
        bounds = [-1.0 if objective.maximise else 0.0 for objective in self.objectives]
        return np.minimum(points.min(axis=0), bounds), reference_point(points)

    def hypervolume(self, size: int, ideal: Values, reference: Values) -> float:
        """Return the dominated share of the box between the points `ideal` and `reference` (J,).

        Only feasible evaluations among the first `size` evaluations dominate.
        """
        feasible = [worth.trade_offs[worth.violations == 0] for worth in self._worth[:size]]
        return normalised_hypervolume(np.concatenate(feasible), ideal, reference)

    def feasible(self, rows: Sequence[int]) -> float | None:
        """Return the share of feasible evaluations among the indices `rows`; `None` = no constraints."""
        if not self._limits.constraints:
            return None
        return sum(self.evaluations[i].feasible for i in rows) / len(rows)

    def _nothing_succeeded(self) -> str:
        if not self.evaluations:
            return "the search strategy has no candidate for the initial archive"
        (cause, times), *_ = Counter(e.error for e in self.evaluations).most_common(1)
        return (
            f"none of the {len(self.evaluations)} candidates of the initial archive could be evaluated; "
            f"the most frequent reason ({times} times) is {cause}"
        )
