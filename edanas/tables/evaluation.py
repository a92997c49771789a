"""An evaluation that looks answers up in a table: any strategy searches on it, with the engine as it is."""

from collections.abc import Iterable, Sequence

from edanas.core.contracts import Evaluator, ExitNetwork
from edanas.core.errors import CandidateError
from edanas.core.progress import Progress
from edanas.core.types import Backbone, Candidate, ExitProfile, Metrics, Outcome, SelectionScheme
from edanas.evaluation.scoring import metrics_of
from edanas.model.anatomy import Anatomy
from edanas.tables.neighbours import Answer, Neighbours
from edanas.tables.reader import Table
from edanas.thresholds.fronts import threshold_front
from edanas.thresholds.profiles import outcome
from edanas.thresholds.schemes import Measure


class TableEvaluation(Evaluator):
    """Answers for every candidate on a backbone in the table, as its exit profile does.

    Args:
        table: Where answers are.
        part: The samples to judge on; the searched part if left out.
        outside: Estimates what is not in the table; without it, such candidates fail. `estimated` tells which
            of a search's candidates those are.
        measure: The cost that `schemes` trades against accuracy: executed MACs, or ADA_MACS.
    """

    removable = True

    def __init__(
        self,
        table: Table,
        part: str = "",
        outside: Neighbours | None = None,
        measure: Measure = "executed",
    ) -> None:
        self.table, self.part, self.outside = table, part or table.parts[0], outside
        self.measure: Measure = measure

    def prepare(self, progress: Progress) -> None:
        """Nothing is needed."""

    def answer(self, candidate: Candidate) -> Answer:
        """Metrics, and whether they were measured or estimated.

        Raises:
            CandidateError: The candidate is of another space, or outside the table and nothing estimates it.
        """
        if self.outside is None or candidate.backbone in self.table:
            return Answer(self.table.metrics(candidate, self.part), measured=True)
        return self.outside.answer(candidate)

    def estimated(self, candidates: Iterable[Candidate]) -> set[str]:
        """Ids of those candidates whose answers are estimates: an archive keeps metrics without that mark.

        It follows from the table alone, wherever and whenever the answers were given.
        """
        return {candidate.id for candidate in candidates if candidate.backbone not in self.table}

    def evaluate(self, candidate: Candidate) -> Metrics:
        """See `Evaluator.evaluate`."""
        return self.answer(candidate).metrics

    def profile(self, candidate: Candidate) -> ExitProfile | None:
        """See `Evaluator.profile`; `None` for a backbone outside the table."""
        inside = candidate.backbone in self.table
        return self.table.profile(candidate.backbone, self.part) if inside else None

    def rescore(self, candidate: Candidate, profile: ExitProfile) -> Metrics:
        """See `Evaluator.rescore`."""
        return self.judge(candidate, outcome(profile, candidate.scheme))

    def judge(self, candidate: Candidate, outcome: Outcome) -> Metrics:
        """See `Evaluator.judge`; the costs of a backbone outside the table are estimates.

        Raises:
            CandidateError: The backbone is of another space, or outside the table and nothing estimates it.
        """
        return metrics_of(outcome, candidate.scheme, self._anatomy(candidate.backbone))

    def schemes(self, candidate: Candidate, profile: ExitProfile) -> Sequence[SelectionScheme]:
        """See `Evaluator.schemes`."""
        costs, points = self._anatomy(candidate.backbone).costs, self.table.description.exit_points
        return threshold_front(profile, costs, points, measure=self.measure).schemes

    def _anatomy(self, backbone: Backbone) -> Anatomy:
        if self.outside is None or backbone in self.table:
            return self.table.anatomy(backbone)
        return self.outside.anatomy(backbone)

    def passes(self) -> tuple[float, float]:
        """No sample passes through anything."""
        return 0.0, 0.0

    def network(self, candidate: Candidate) -> ExitNetwork:
        """A table has answers, and no networks.

        Raises:
            CandidateError: Always.
        """
        raise CandidateError(f"{candidate.id}: a table holds exit profiles and no weights")
