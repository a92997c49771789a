"""An evaluation that reads a candidate's metrics from a table instead of running a network."""

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
    """An evaluation of candidates by the exit profiles of a table.

    Args:
        table: The table with the exit profiles.
        part: Name of the part of the data; empty, the default, is the part that a search judges on.
        outside: Estimates the metrics of backbones that are not in the table. With `None`, the default, a
            candidate with such a backbone fails. The method `estimated` lists the estimated candidates.
        measure: The cost in the threshold front that `schemes` computes: `executed`, the default, for
            executed MACs, or `ada` for ADA_MACS.

    Example:
        >>> from edanas.tables.example_table import example_table
        >>> table = example_table()
        >>> candidate = table.space().decode(table.genomes[0].tolist() + [1, 0])
        >>> TableEvaluation(table, "test").evaluate(candidate).accuracy
        0.64
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
        """Do nothing: a table needs no preparation."""

    def answer(self, candidate: Candidate) -> Answer:
        """Return the candidate's metrics, and a flag: true for measured metrics, false for estimates.

        Raises:
            CandidateError: The candidate does not belong to the table's space. Or its backbone is not in the
                table, and `outside` is `None`.
        """
        if self.outside is None or candidate.backbone in self.table:
            return Answer(self.table.metrics(candidate, self.part), measured=True)
        return self.outside.answer(candidate)

    def estimated(self, candidates: Iterable[Candidate]) -> set[str]:
        """Return the ids of the candidates whose metrics are estimates: their backbones are not in the table.

        An archive does not record which metrics are estimates.
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
            CandidateError: The backbone does not belong to the table's space. Or the backbone is not in the
                table, and `outside` is `None`.
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
        """See `Evaluator.passes`; both numbers are 0, since no network runs."""
        return 0.0, 0.0

    def network(self, candidate: Candidate) -> ExitNetwork:
        """Raise an error: a table holds no networks.

        Raises:
            CandidateError: Always.
        """
        raise CandidateError(f"{candidate.id}: a table holds exit profiles, but no weights of networks")
