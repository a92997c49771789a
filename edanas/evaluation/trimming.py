"""Candidates without the exits and stages that no validation sample uses, and their single-exit networks.

Metrics follow from exit profiles. No network runs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from edanas.core.contracts import Evaluator
from edanas.core.cut_backbones import cut
from edanas.core.result_row import ResultRow
from edanas.core.types import Backbone, Candidate, Evaluation, ExitProfile, SelectionScheme, Variable
from edanas.thresholds.schemes import restrict_profile
from edanas.thresholds.trimming import cut_profile, trim_scheme

Profiles = Callable[[str], ExitProfile | None]
"""Candidate id -> its stored exit profile; `None` = no profile is stored."""


class Trimmer:
    """Replaces candidates by the networks that run: without unused exits, and cut where all samples exit.

    Args:
        evaluator: Computes the metrics of a scheme from a profile.
        archive: The evaluations of the search, one or more of which have a profile.
        profile_of: Returns the profiles of `archive`.
        variables: The variables of the supernet provider.
        form: Canonical form of a backbone; by default the backbone itself.
        share: Smallest fraction of the samples at an exit that stays. At 0, the default, one sample suffices.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        archive: Sequence[Evaluation],
        profile_of: Profiles,
        variables: Sequence[Variable],
        form: Callable[[Backbone], Backbone] = lambda backbone: backbone,
        share: float = 0.0,
    ) -> None:
        self.evaluator, self.profile_of, self.share = evaluator, profile_of, share
        self.variables, self.form = variables, form
        self._sources: dict[str, Evaluation] = {}
        for evaluation in archive:
            if evaluation.ok:
                self._sources.setdefault(evaluation.candidate.backbone.id, evaluation)
        self._profiles: dict[str, ExitProfile | None] = {}
        self._origins: dict[str, str] = {}

    def trim(self, evaluations: Iterable[Evaluation]) -> list[Evaluation]:
        """Return the evaluations of the trimmed candidates, in order; equal candidates stay.

        A candidate stays as it is if its evaluation failed, if its backbone has no profile, or if removing an
        exit changes the other exits.
        """
        trimmed = map(self._trimmed, evaluations) if self.evaluator.removable else evaluations
        return [self._formed(each) for each in trimmed]

    def single_exits(self) -> list[Evaluation]:
        """Return the single-exit networks of the archive, cut networks included; of equals, the first.

        Each evaluated backbone is a single-exit network, and so is its part up to each exit of its profile.
        Without a profile, only accuracy and multiply-adds are those of the backbone alone; the other figures
        are those of the evaluated network.
        """
        return distinct(each for source in self._sources.values() for each in self._single_exits(source))

    def sources(self, chosen: Iterable[Evaluation]) -> list[Evaluation]:
        """Return evaluations of the archive for the backbones of candidates, also of cut candidates."""
        names = {self._origins.get(e.candidate.id, e.candidate.backbone.id) for e in chosen}
        return [source for name, source in self._sources.items() if name in names]

    def _formed(self, evaluation: Evaluation) -> Evaluation:
        backbone = self.form(evaluation.candidate.backbone)
        if backbone == evaluation.candidate.backbone:
            return evaluation
        return replace(evaluation, candidate=Candidate(backbone, evaluation.candidate.scheme))

    def _trimmed(self, evaluation: Evaluation) -> Evaluation:
        candidate, metrics = evaluation.candidate, evaluation.metrics
        if metrics is None:
            return evaluation
        scheme, end = trim_scheme(candidate.scheme, metrics.utilization, self.share)
        profile = None if scheme == candidate.scheme else self._profile(candidate.backbone)
        if profile is None:
            return evaluation
        return self._rescored(evaluation, profile, scheme, end)

    def _single_exits(self, source: Evaluation) -> Iterator[Evaluation]:
        """Yield the network of the whole backbone, then the network up to each exit of its profile."""
        metrics, backbone = source.metrics, source.candidate.backbone
        points = len(source.candidate.scheme.thresholds)
        no_exits = SelectionScheme((None,) * points)
        if metrics is None:
            return
        if (profile := self._profile(backbone)) is not None:
            yield from (self._rescored(source, profile, no_exits, end) for end in (points, *profile.points))
            return
        before = (None,) * points
        figures = {name: (*before, costs[-1]) for name, costs in metrics.exit_figures.items()}
        yield replace(
            source,
            candidate=Candidate(backbone, no_exits),
            metrics=replace(
                metrics,
                accuracy=metrics.backbone_accuracy,
                utilization=(*((0.0,) * points), 1.0),
                exit_accuracy=(*before, metrics.backbone_accuracy),
                ada_macs=metrics.backbone_macs,
                executed_macs=metrics.backbone_macs,
                exit_macs=(*before, metrics.backbone_macs),
                exit_figures=figures,
            ),
        )

    def _rescored(
        self, source: Evaluation, profile: ExitProfile, scheme: SelectionScheme, end: int
    ) -> Evaluation:
        """Return the evaluation of a scheme on the backbone of `source`, cut at the exit point `end`."""
        backbone = source.candidate.backbone
        if end < len(scheme.thresholds):
            shorter = cut(backbone, self.variables, end + 1)
            backbone, profile = self.form(shorter), cut_profile(profile, end)
        candidate = Candidate(backbone, scheme)
        metrics = self.evaluator.rescore(candidate, restrict_profile(profile, scheme.placed))
        self._origins.setdefault(candidate.id, source.candidate.backbone.id)
        return replace(source, candidate=candidate, metrics=metrics)

    def _profile(self, backbone: Backbone) -> ExitProfile | None:
        source = self._sources.get(backbone.id)
        if source is None:
            return None
        if backbone.id not in self._profiles:
            self._profiles[backbone.id] = self.profile_of(source.candidate.id)
        return self._profiles[backbone.id]


def without_copies(rows: Sequence[ResultRow], others: Sequence[ResultRow] = ()) -> list[ResultRow]:
    """Return the finished networks that are neither one of the `others` nor an earlier network again.

    Candidates become one network if the removal of unused exits leaves the same part of the same backbone.

    Args:
        rows: The finished networks.
        others: Further finished networks.
    """
    known, result = [_figures(each) for each in others], []
    for row in rows:
        if (figures := _figures(row)) not in known:
            known.append(figures)
            result.append(row)
    return result


def _figures(row: ResultRow) -> ResultRow:
    """Return the row without names, files and the figures that only a calibrated network has."""
    nameless = replace(row, id="", model=None, files=(), examples=())
    return replace(nameless, calibration_accuracy=None, calibration_executed_macs=None)


def distinct(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Return the evaluations of distinct candidates; of equal candidates, the first."""
    by_id: dict[str, Evaluation] = {}
    for evaluation in evaluations:
        by_id.setdefault(evaluation.candidate.id, evaluation)
    return list(by_id.values())
