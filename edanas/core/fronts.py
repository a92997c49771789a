"""Fronts of backbones over continuous thresholds, computed from exit profiles."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Evaluator, Objective
from edanas.core.feasible import Feasibility
from edanas.core.objective_values import minimised
from edanas.core.types import Candidate, Evaluation, ExitProfile, Metrics


class Fronts:
    """The k Pareto-optimal selection schemes of each backbone, with metrics; cached by backbone.

    Args:
        evaluator: An evaluator that keeps exit profiles; it computes the schemes and their metrics.
        objectives: The J objectives.
        limits: The constraints; `None`, the default, means that there are none.
    """

    def __init__(
        self, evaluator: Evaluator, objectives: Sequence[Objective], limits: Feasibility | None = None
    ) -> None:
        self._evaluator, self._objectives = evaluator, tuple(objectives)
        self._limits = limits or Feasibility()
        self._scored: dict[str, tuple[tuple[Candidate, Metrics], ...]] = {}

    def __call__(self, candidate: Candidate, profile: ExitProfile) -> npt.NDArray[np.float64]:
        """Return the minimised objective values (k, J) of the k >= 1 Pareto-optimal schemes of a backbone.

        Args:
            candidate: A candidate with the backbone.
            profile: The exit profile of the backbone.
        """
        return np.array([minimised(self._objectives, m) for _, m in self._scores(candidate, profile)])

    def violations(self, candidate: Candidate, profile: ExitProfile) -> npt.NDArray[np.float64]:
        """Return how much each Pareto-optimal scheme of the candidate's backbone violates the constraints.

        Returns:
            One violation for each of the k schemes, (k,), 0 or more; 0 = feasible.
        """
        return np.array([self._limits.violation(*each) for each in self._scores(candidate, profile)])

    def feasible(self, candidate: Candidate, profile: ExitProfile) -> npt.NDArray[np.float64]:
        """Return the values of `__call__`, (k, J), with infinity for schemes that break a constraint."""
        values = self(candidate, profile)
        return np.where(self.violations(candidate, profile)[:, None] > 0, np.inf, values)

    def nearest(self, candidate: Candidate, profile: ExitProfile) -> list[float]:
        """Return the M excesses of the scheme with the smallest violation among the k Pareto-optimal schemes.

        See `SearchStrategy.tell`.
        """
        at = int(self.violations(candidate, profile).argmin())
        return self._limits.excesses(*self._scores(candidate, profile)[at])

    def evaluations(self, source: Evaluation, profile: ExitProfile) -> tuple[Evaluation, ...]:
        """Return an evaluation of each Pareto-optimal scheme of a backbone, in the iteration of `source`.

        Args:
            source: An evaluation of the backbone.
            profile: The exit profile of the backbone.
        """
        scores = self._scores(source.candidate, profile)
        violations = self.violations(source.candidate, profile)
        return tuple(
            Evaluation(candidate, source.iteration, metrics, violation=float(violation))
            for (candidate, metrics), violation in zip(scores, violations, strict=True)
        )

    def _scores(self, candidate: Candidate, profile: ExitProfile) -> tuple[tuple[Candidate, Metrics], ...]:
        if candidate.id not in self._scored:
            schemes = self._evaluator.schemes(candidate, profile)
            candidates = [Candidate(candidate.backbone, scheme) for scheme in schemes]
            self._scored[candidate.id] = tuple((c, self._evaluator.rescore(c, profile)) for c in candidates)
        return self._scored[candidate.id]
