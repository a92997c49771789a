"""Metrics of candidates from their exit profiles on the validation part, for the evaluation modes."""

from collections.abc import Sequence

from edanas.core.contracts import Evaluator
from edanas.core.types import Candidate, ExitProfile, Metrics, Outcome, SelectionScheme
from edanas.evaluation.scoring import metrics_of, pareto_schemes, score
from edanas.evaluation.workbench import Workbench


class ScoredProfiles(Evaluator):
    """Base class of the evaluation modes that collect exit profiles on the validation part."""

    workbench: Workbench

    def rescore(self, candidate: Candidate, profile: ExitProfile) -> Metrics:
        """See `Evaluator.rescore`."""
        anatomy = self.workbench.anatomy_of(candidate.backbone, profile.points)
        return score(profile, candidate.scheme, anatomy, self.workbench.parts.validation.labels.numpy())

    def judge(self, candidate: Candidate, outcome: Outcome) -> Metrics:
        """See `Evaluator.judge`."""
        anatomy = self.workbench.anatomy_of(candidate.backbone, candidate.scheme.placed)
        return metrics_of(outcome, candidate.scheme, anatomy)

    def schemes(self, candidate: Candidate, profile: ExitProfile) -> Sequence[SelectionScheme]:
        """See `Evaluator.schemes`."""
        anatomy = self.workbench.anatomy_of(candidate.backbone, candidate.scheme.placed)
        measure, levels = self.workbench.measure, self.workbench.criterion.levels
        return pareto_schemes(
            profile, candidate, anatomy, removable=self.removable, measure=measure, levels=levels
        )
