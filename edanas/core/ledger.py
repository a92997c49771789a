"""What a search has so far: evaluations with their genomes and values, trade-offs, the hypervolume."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edanas.core.attempt import Tried, reason
from edanas.core.contracts import Objective
from edanas.core.errors import CandidateError
from edanas.core.feasible import Feasibility
from edanas.core.objective_values import minimised
from edanas.core.types import Candidate, Evaluation, ExitProfile, Metrics
from edanas.numerics.pareto import normalised_hypervolume, reference_point

Values = npt.NDArray[np.float64]


class Front(Protocol):
    """All trade-offs that an evaluated backbone offers; `edanas.core.fronts` has the one of a run."""

    def __call__(self, candidate: Candidate, profile: ExitProfile, /) -> Values:
        """(k, J) minimised."""

    def violations(self, candidate: Candidate, profile: ExitProfile, /) -> Values:
        """(k,) by how much each breaks the constraints."""

    def nearest(self, candidate: Candidate, profile: ExitProfile, /) -> list[float]:
        """(M,) excesses of the one that breaks them least."""


class Worth(NamedTuple):
    """What an evaluation is worth; of a failed one all is NaN.

    Args:
        values: (J,) of the candidate itself, minimised.
        excesses: (M,) beyond the constraints that an evaluation decides.
        trade_offs: (k, J) that may count for the hypervolume.
        violations: (k,) of each trade-off.
    """

    values: list[float]
    excesses: list[float]
    trade_offs: Values
    violations: Values


class Ledger:
    """The evaluations of one search, in order, and what they are worth.

    Args:
        objectives: What is optimised, J of them.
        front: Where thresholds are continuous, what a backbone is worth: all of its trade-offs. Otherwise a
            candidate's own values are.
        limits: The constraints.
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

    def rows(self, iteration: int) -> list[int]:
        """The positions of an iteration's evaluations."""
        return [i for i, e in enumerate(self.evaluations) if e.iteration == iteration]

    def judged(self, candidate: Candidate, iteration: int, answer: Tried | CandidateError) -> Evaluation:
        """An executor's answer as an evaluation; it failed where an objective has no value, too."""
        tried = Tried(reason(answer), 0.0, None) if isinstance(answer, CandidateError) else answer
        found, seconds, profile = tried
        if isinstance(found, Metrics):
            try:
                violation = float(self._measured(candidate, found, profile).violations.min())
                return Evaluation(candidate, iteration, found, seconds=seconds, violation=violation)
            except Exception as error:
                found = reason(error)
        return Evaluation(candidate, iteration, None, found, seconds)

    def add(self, genome: npt.NDArray[np.int64], evaluation: Evaluation, profile: ExitProfile | None) -> None:
        """Append an evaluation, of this process or replayed, with its exit profile if one is kept."""
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
                raise CandidateError(f"objective {type(objective).__name__} is {value}")
        if self._front is None:
            violation = self._limits.violation(candidate, metrics)
            excesses = self._limits.excesses(candidate, metrics)
            return Worth(values, excesses, np.array([values]), np.array([violation]))
        if profile is None:
            raise CandidateError("thresholds are continuous, but the evaluation keeps no exit profile")
        trade_offs, violations = self._front(candidate, profile), self._front.violations(candidate, profile)
        return Worth(values, self._front.nearest(candidate, profile), trade_offs, violations)

    def box(self) -> tuple[Values, Values]:
        """Ideal and reference point of the hypervolume, both fixed by the initial archive, feasible or not.

        The ideal is 0 for what is minimised and 1 for what is maximised (costs and fractions), or what the
        initial archive reaches, where that is better.

        Raises:
            CandidateError: Nothing in the initial archive succeeded.
        """
        found = [self._worth[i].trade_offs for i in self.rows(0) if self.evaluations[i].ok]
        if not found:
            raise CandidateError(self._nothing_succeeded())
        points = np.concatenate(found)
        bounds = [-1.0 if objective.maximise else 0.0 for objective in self.objectives]
        return np.minimum(points.min(axis=0), bounds), reference_point(points)

    def hypervolume(self, size: int, ideal: Values, reference: Values) -> float:
        """The share of the box, in [0, 1], dominated by what is feasible of the first `size` evaluations."""
        kept = [worth.trade_offs[worth.violations == 0] for worth in self._worth[:size]]
        return normalised_hypervolume(np.concatenate(kept), ideal, reference)

    def feasible(self, rows: Sequence[int]) -> float | None:
        """The share of the evaluations at `rows` that keep all constraints; `None` without constraints."""
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
