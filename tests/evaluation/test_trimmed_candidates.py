"""Candidates without unused exits, and the single-exit networks of an archive, from real exit profiles."""

from dataclasses import replace

import numpy as np
import pytest
from small_runs import space, workbench

from edanas.core.progress import Silent
from edanas.core.result_row import ResultRow
from edanas.core.types import Candidate, Evaluation, SelectionScheme
from edanas.evaluation.selection import with_exact_fronts
from edanas.evaluation.shared import SharedEvaluation
from edanas.evaluation.trimming import Trimmer, distinct, without_copies
from edanas.goals.objectives import WorstCaseMacs
from edanas.thresholds.profiles import outcome

EVERY = (0.5,) * 4


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory):
    shared = SharedEvaluation(workbench(tmp_path_factory.mktemp("run"), training__epochs=1))
    shared.prepare(Silent())
    return shared


@pytest.fixture(scope="module")
def archive(evaluator):
    rng = np.random.default_rng(2)
    backbones = [space().sample_backbone(rng) for _ in range(2)]
    candidates = [Candidate(backbone, SelectionScheme(EVERY)) for backbone in backbones]
    return [Evaluation(each, 0, evaluator.evaluate(each)) for each in candidates]


@pytest.fixture
def trimmer(evaluator, archive):
    by_id = {e.candidate.id: evaluator.profile(e.candidate) for e in archive}
    return Trimmer(evaluator, archive, by_id.get, evaluator.workbench.provider.variables())


def scored(evaluator, source, thresholds):
    candidate = Candidate(source.candidate.backbone, SelectionScheme(thresholds))
    return Evaluation(candidate, 3, evaluator.rescore(candidate, evaluator.profile(source.candidate)))


def test_a_trimmed_candidate_is_the_evaluated_cut_network(evaluator, archive, trimmer):
    """No sample passes exit 3, and exit 1 never fires."""
    before = scored(evaluator, archive[0], (1.0, 0.02, 0.0, 0.3))
    (after,) = trimmer.trim([before])
    assert after.candidate.backbone["stages"] == 3
    assert after.candidate.scheme.thresholds[0] is None
    assert after.candidate.scheme.thresholds[2:] == (None, None)
    assert after.metrics.accuracy == before.metrics.accuracy
    assert after.metrics.executed_macs < before.metrics.executed_macs
    assert after.metrics.backbone_macs < before.metrics.backbone_macs
    assert after.metrics.params < before.metrics.params
    assert after.iteration == 3
    # The evaluation of the cut network itself gives the same metrics.
    assert evaluator.evaluate(after.candidate) == after.metrics


def test_equal_candidates_are_merged_and_used_ones_stay(evaluator, archive, trimmer):
    one, two = (scored(evaluator, archive[0], (0.0, 1.0, threshold, None)) for threshold in (0.4, 1.0))
    used = scored(evaluator, archive[1], (0.02, None, None, None))
    failed = Evaluation(Candidate(archive[1].candidate.backbone, SelectionScheme(EVERY)), 0, None, "no")
    assert 0 < used.metrics.utilization[0] < 1
    trimmed = trimmer.trim([one, two, used, failed])
    assert trimmed[0].candidate == trimmed[1].candidate
    assert trimmed[2:] == [used, failed]
    assert distinct(trimmed) == [trimmed[0], used, failed]


def test_networks_that_became_equal_are_one_result():
    row = ResultRow(
        id="a",
        exits=0,
        thresholds=(None,),
        utilization=(0.0, 1.0),
        test_accuracy=0.9,
        calibration_accuracy=0.8,
        validation_accuracy=0.9,
        ada_macs=3e4,
        executed_macs=3e4,
        backbone_macs=3e4,
        backbone_test_accuracy=0.9,
        params=7,
        model="a.json",
        files=("a.json",),
    )
    copy = replace(row, id="b", calibration_accuracy=None, model="b.json", files=("b.json",))
    other = replace(row, id="c", test_accuracy=0.8)
    assert without_copies([row, copy, other]) == [row, other]
    assert without_copies([row, other], [copy]) == [other]


def test_exits_below_the_share_are_removed(evaluator, archive, trimmer):
    before = scored(evaluator, archive[0], (0.02, 0.02, 0.02, 0.02))
    shares = before.metrics.utilization
    assert sorted(shares)[0] > 0
    trimmer.share = (min(shares[:4]) + sorted(shares[:4])[1]) / 2
    (after,) = trimmer.trim([before])
    assert after.candidate.scheme.placed == tuple(at for at in range(4) if shares[at] >= trimmer.share)
    assert sum(after.metrics.utilization) == pytest.approx(1.0)


def test_exits_that_others_read_are_not_removed(evaluator, archive, trimmer, monkeypatch):
    monkeypatch.setattr(evaluator, "removable", False)
    candidate = scored(evaluator, archive[0], (1.0, 1.0, 1.0, 1.0))
    assert trimmer.trim([candidate]) == [candidate]


def test_every_exit_of_every_profile_is_a_single_exit_network(evaluator, archive, trimmer):
    singles = {e.candidate.id: e for e in trimmer.single_exits()}
    assert all(e.candidate.scheme.exits == 0 for e in singles.values())
    for source in archive:
        profile, whole = evaluator.profile(source.candidate), source.metrics
        of_source = [e for e in singles.values() if e in trimmer_singles(trimmer, source)]
        assert len(of_source) == 5
        first, *cut = of_source
        assert (first.metrics.accuracy, first.metrics.executed_macs) == (
            whole.backbone_accuracy,
            whole.backbone_macs,
        )
        assert evaluator.evaluate(first.candidate) == first.metrics
        assert first.metrics.params < whole.params
        for end, single in enumerate(cut):
            assert single.candidate.backbone["stages"] == end + 1
            assert single.metrics.accuracy == profile.correct[:, end].mean()
            assert single.metrics.executed_macs == single.metrics.backbone_macs
            assert evaluator.evaluate(single.candidate) == single.metrics
        costs = [each.metrics.executed_macs for each in cut]
        assert costs == sorted(costs)
        assert trimmer.sources(cut) == [source]


def test_a_single_exit_network_has_the_cost_of_its_one_exit(evaluator, archive, trimmer):
    """Constraints and objectives read it, whether or not the archive holds a profile."""
    bare = Trimmer(evaluator, archive, lambda _: None, trimmer.variables).single_exits()
    assert len(bare) == len(archive)
    for single in [*bare, *trimmer.single_exits()]:
        assert WorstCaseMacs().value(single.metrics) == single.metrics.executed_macs
        assert single.metrics.exit_macs[:-1] == (None,) * 4


def trimmer_singles(trimmer, source):
    return Trimmer(trimmer.evaluator, [source], trimmer.profile_of, trimmer.variables).single_exits()


def test_exact_fronts_have_no_worse_thresholds_than_a_list(evaluator, archive):
    by_id = {e.candidate.id: evaluator.profile(e.candidate) for e in archive}
    pool = with_exact_fronts(archive, archive, evaluator, by_id.get)
    assert pool[: len(archive)] == archive
    profile = by_id[archive[0].candidate.id]
    own = [e for e in pool[2:] if e.candidate.backbone == archive[0].candidate.backbone]
    for threshold in (0.01, 0.05, 0.2):
        listed = outcome(profile, SelectionScheme((threshold, None, threshold, None)))
        scheme = SelectionScheme((threshold, None, threshold, None))
        macs = evaluator.rescore(Candidate(archive[0].candidate.backbone, scheme), profile).ada_macs
        assert any(e.metrics.accuracy >= listed.accuracy and e.metrics.ada_macs <= macs for e in own)
