"""What one backbone offers where thresholds are continuous: all its trade-offs, from its exit profile."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Evaluator, Objective
from edanas.core.pareto import minimised
from edanas.core.types import Candidate, Evaluation, ExitProfile


class Fronts:
    """Every selection scheme worth having on a backbone, with its metrics; remembered by backbone.

    Args:
        evaluator: Knows the schemes and scores them; one that keeps exit profiles.
        objectives: What is optimised, J of them.
    """

    def __init__(self, evaluator: Evaluator, objectives: Sequence[Objective]) -> None:
        self._evaluator, self._objectives = evaluator, tuple(objectives)
        self._evaluations: dict[str, tuple[Evaluation, ...]] = {}

    def __call__(self, candidate: Candidate, profile: ExitProfile) -> npt.NDArray[np.float64]:
        """The trade-offs (k, J), minimised; k >= 1."""
        found = self.evaluations(Evaluation(candidate, 0, None), profile)
        return np.array([minimised(self._objectives, e.metrics) for e in found if e.metrics is not None])

    def evaluations(self, source: Evaluation, profile: ExitProfile) -> tuple[Evaluation, ...]:
        """The same as evaluations, one for each scheme, each with the iteration of `source`."""
        backbone = source.candidate.backbone
        if source.candidate.id not in self._evaluations:
            candidates = [Candidate(backbone, s) for s in self._evaluator.schemes(source.candidate, profile)]
            self._evaluations[source.candidate.id] = tuple(
                Evaluation(each, source.iteration, self._evaluator.rescore(each, profile))
                for each in candidates
            )
        return self._evaluations[source.candidate.id]
