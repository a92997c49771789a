"""What one backbone offers where thresholds are continuous: all its trade-offs, from its exit profile."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Evaluator, Objective
from edanas.core.feasible import Feasibility
from edanas.core.objective_values import minimised
from edanas.core.types import Candidate, Evaluation, ExitProfile, Metrics


class Fronts:
    """Every selection scheme worth having on a backbone, with its metrics; remembered by backbone.

    Args:
        evaluator: Knows the schemes and scores them; one that keeps exit profiles.
        objectives: What is optimised, J of them.
        limits: The constraints.
    """

    def __init__(
        self, evaluator: Evaluator, objectives: Sequence[Objective], limits: Feasibility | None = None
    ) -> None:
        self._evaluator, self._objectives = evaluator, tuple(objectives)
        self._limits = limits or Feasibility()
        self._scored: dict[str, tuple[tuple[Candidate, Metrics], ...]] = {}

    def __call__(self, candidate: Candidate, profile: ExitProfile) -> npt.NDArray[np.float64]:
        """The trade-offs (k, J), minimised; k >= 1."""
        return np.array([minimised(self._objectives, m) for _, m in self._scores(candidate, profile)])

    def violations(self, candidate: Candidate, profile: ExitProfile) -> npt.NDArray[np.float64]:
        """(k,) by how much each trade-off breaks the constraints."""
        return np.array([self._limits.violation(*each) for each in self._scores(candidate, profile)])

    def feasible(self, candidate: Candidate, profile: ExitProfile) -> npt.NDArray[np.float64]:
        """The trade-offs (k, J), infinite where a constraint is broken."""
        values = self(candidate, profile)
        return np.where(self.violations(candidate, profile)[:, None] > 0, np.inf, values)

    def nearest(self, candidate: Candidate, profile: ExitProfile) -> list[float]:
        """(M,) excesses of the trade-off that breaks the constraints least; see `SearchStrategy.tell`."""
        at = int(self.violations(candidate, profile).argmin())
        return self._limits.excesses(*self._scores(candidate, profile)[at])

    def evaluations(self, source: Evaluation, profile: ExitProfile) -> tuple[Evaluation, ...]:
        """The same as evaluations, one for each scheme, each with the iteration of `source`."""
        found = zip(
            self._scores(source.candidate, profile), self.violations(source.candidate, profile), strict=True
        )
        return tuple(
            Evaluation(each, source.iteration, metrics, violation=float(violation))
            for (each, metrics), violation in found
        )

    def _scores(self, candidate: Candidate, profile: ExitProfile) -> tuple[tuple[Candidate, Metrics], ...]:
        if candidate.id not in self._scored:
            schemes = self._evaluator.schemes(candidate, profile)
            candidates = [Candidate(candidate.backbone, scheme) for scheme in schemes]
            self._scored[candidate.id] = tuple((c, self._evaluator.rescore(c, profile)) for c in candidates)
        return self._scored[candidate.id]
