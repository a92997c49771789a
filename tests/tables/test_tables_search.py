import itertools
import pickle

import numpy as np
import pytest
from toy_tables import evaluator

from edanas.core.archive import Archive
from edanas.core.engine import Engine, SearchSetup
from edanas.core.errors import CandidateError, ConfigError, TableError
from edanas.core.objective_values import minimised
from edanas.core.optional_packages import MissingExtraError
from edanas.core.progress import Silent
from edanas.core.settings import SearchSettings
from edanas.core.types import Candidate, Outcome, SelectionScheme
from edanas.evaluation.scoring import score
from edanas.executors.serial import Serial
from edanas.numerics.pareto import non_dominated
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.strategies.random_search import RandomSearch
from edanas.surrogates.exit_profiles import ExitProfiles
from edanas.tables.estimate_quality import leave_out
from edanas.tables.evaluation import TableEvaluation
from edanas.tables.neighbours import Neighbours
from edanas.tables.table_search import search
from edanas.testing.toy_search import ToyAccuracy, ToyCost, toy_problem

THRESHOLDS = (0.5, None)
SCHEMES = [SelectionScheme(pair) for pair in itertools.product(THRESHOLDS, repeat=2)]
OBJECTIVES = (ToyAccuracy(), ToyCost())


def front(values):
    return {tuple(row) for row in np.array(values)[non_dominated(np.array(values))]}


def test_an_engine_that_sees_all_of_a_table_finds_the_front_of_all_profiles(whole, tmp_path):
    space = whole.space(THRESHOLDS)
    strategy = RandomSearch()
    strategy.start(toy_problem(space, initial=90))
    with Archive(tmp_path) as archive:
        length = SearchSettings(initial=90, iterations=9, per_iteration=50)
        setup = SearchSetup(space, strategy, TableEvaluation(whole), Serial(), OBJECTIVES, length)
        result = Engine(setup, archive, lambda *_, **__: None, Silent()).run()
    assert result.stopped == "exhausted"
    assert len(result.evaluations) == space.size() == 384
    values = [
        minimised(
            OBJECTIVES,
            score(whole.profile(backbone), scheme, evaluator().workbench.anatomy_of(backbone, (0, 1))),
        )
        for backbone in whole.backbones
        for scheme in SCHEMES
    ]
    assert front([minimised(OBJECTIVES, e.metrics) for e in result.evaluations]) == front(values)


def test_an_evaluation_on_a_table_conforms_to_the_contract(whole):
    judge = TableEvaluation(whole, "test")
    candidate = Candidate(whole.space().largest(), SelectionScheme((0.4, None)))
    assert judge.answer(candidate) == (judge.evaluate(candidate), True)
    assert judge.evaluate(candidate) == whole.metrics(candidate, "test")
    profile = judge.profile(candidate)
    for scheme in SCHEMES:
        other = Candidate(candidate.backbone, scheme)
        assert judge.rescore(other, profile) == judge.evaluate(other)
    offered = judge.schemes(candidate, profile)
    metrics = [judge.rescore(Candidate(candidate.backbone, s), profile) for s in offered]
    values = np.array([[-m.accuracy, m.executed_macs] for m in metrics])
    assert non_dominated(values).all()
    assert judge.passes() == (0.0, 0.0)
    with pytest.raises(CandidateError, match="no weights"):
        judge.network(candidate)


def rank_correlation(one, other):
    ranks = np.argsort(np.argsort([one, other], axis=1), axis=1)
    return np.corrcoef(ranks)[0, 1]


def test_estimates_are_marked_and_rank_removed_backbones(whole, half):
    judge = TableEvaluation(half, outside=Neighbours(half))
    removed = [backbone for backbone in whole.backbones if backbone not in half]
    assert len(removed) == 48
    for scheme in SCHEMES:
        exact = [whole.metrics(Candidate(b, scheme)) for b in removed]
        answers = [judge.answer(Candidate(b, scheme)) for b in removed]
        assert not any(answer.measured for answer in answers)
        assert rank_correlation([m.accuracy for m in exact], [a.metrics.accuracy for a in answers]) > 0.3
        assert rank_correlation([m.ada_macs for m in exact], [a.metrics.ada_macs for a in answers]) > 0.9
        for answer in answers:
            shares = answer.metrics.utilization
            assert sum(shares) == pytest.approx(1) and min(shares) >= 0
            assert [share for share, t in zip(shares, scheme.thresholds, strict=False) if t is None] == [
                0.0
            ] * (2 - scheme.exits)
    inside = Candidate(next(iter(half.backbones)), SCHEMES[0])
    assert judge.answer(inside) == (half.metrics(inside), True)
    assert judge.profile(inside) is not None
    outside = Candidate(removed[0], SCHEMES[0])
    assert pickle.loads(pickle.dumps(judge)).answer(outside) == judge.answer(outside)
    assert judge.profile(outside) is None
    with pytest.raises(CandidateError, match="not in the table"):
        TableEvaluation(half).evaluate(outside)


def test_the_reported_quality_is_that_of_left_out_backbones(half, small):
    quality = leave_out(half)
    assert quality.candidates == 6 * 48
    assert 0 < quality.accuracy_error < 0.2
    assert quality.macs_rank > 0.9
    assert "rank correlation" in str(quality)


def test_estimated_candidates_are_marked_and_have_the_same_costs(whole, half):
    model = Neighbours(half)
    judge = TableEvaluation(half, outside=model)
    for backbone in whole.backbones:
        candidate = Candidate(backbone, SCHEMES[0])
        metrics = judge.evaluate(candidate)
        assert judge.estimated([candidate]) == (set() if backbone in half else {candidate.id})
        outcome = Outcome(
            metrics.accuracy, metrics.utilization, metrics.exit_accuracy, metrics.backbone_accuracy
        )
        assert judge.judge(candidate, outcome) == metrics
    with pytest.raises(CandidateError, match="not in the table"):
        TableEvaluation(half).judge(
            Candidate(next(b for b in whole.backbones if b not in half), SCHEMES[0]), outcome
        )


def test_offered_schemes_are_best_in_the_chosen_measure(whole):
    for backbone in itertools.islice(whole.backbones, 0, None, 12):
        candidate = Candidate(backbone, SCHEMES[0])
        best = {}
        for measure in ("executed", "ada"):
            judge = TableEvaluation(whole, measure=measure)
            profile = judge.profile(candidate)
            rescored = [
                judge.rescore(Candidate(backbone, s), profile) for s in judge.schemes(candidate, profile)
            ]
            best[measure] = np.array([[-m.accuracy, m.ada_macs] for m in rescored])
        # No scheme of the front for executed MACs beats the front for ADA_MACS in ADA_MACS.
        for row in best["executed"]:
            assert (best["ada"] <= row + 1e-9).all(axis=1).any()


def names():
    return Registry(load_plugins()).names("search strategy")


@pytest.mark.parametrize("strategy", names())
def test_any_strategy_searches_a_table_in_one_call(whole, strategy, tmp_path):
    try:
        nested = Registry(load_plugins()).create("search strategy", strategy).nested
    except MissingExtraError as error:
        pytest.skip(f"{strategy}: {error}")
    length = SearchSettings(initial=8, iterations=2, per_iteration=4)
    thresholds = None if nested else THRESHOLDS
    options = {"thresholds": thresholds, "surrogates": ("cart", "exit-profiles"), "settings": length}
    result = search(whole, strategy, seed=3, folder=tmp_path, **options)
    assert result.stopped == "completed" and len(result.evaluations) == 16
    assert sorted(result.hypervolumes) == list(result.hypervolumes)
    for evaluation in result.evaluations:
        assert nested or evaluation.metrics == whole.metrics(evaluation.candidate)
    assert (tmp_path / "archive.sqlite").exists()
    again = search(whole, strategy, seed=3, **options)
    np.testing.assert_array_equal(again.genomes, result.genomes)


def test_surrogates_of_exits_receive_the_judge_and_the_profiles(whole, monkeypatch):
    insights = []
    monkeypatch.setattr(ExitProfiles, "inform", lambda self, insight: insights.append(insight))
    length = SearchSettings(initial=8, iterations=1, per_iteration=2)
    search(whole, thresholds=THRESHOLDS, surrogates=("exit-profiles",), settings=length)
    assert insights and all(len(insight.profiles) for insight in insights)


def test_a_search_on_part_of_a_space_reports_failures_or_estimates(half):
    length = SearchSettings(initial=20, iterations=2, per_iteration=8)
    options = {"thresholds": THRESHOLDS, "surrogates": ("cart", "exit-profiles"), "settings": length}
    result = search(half, **options)
    failed = [e for e in result.evaluations if not e.ok]
    assert failed and all("not in the table" in e.error for e in failed)
    judge = TableEvaluation(half, outside=Neighbours(half))
    result = search(judge, **options)
    assert all(e.ok for e in result.evaluations)
    estimated = judge.estimated(e.candidate for e in result.evaluations)
    assert 0 < len(estimated) < len(result.evaluations)
    for evaluation in result.evaluations:
        assert evaluation.candidate.id in estimated or evaluation.metrics == half.metrics(
            evaluation.candidate
        )


def test_thresholds_and_estimates_that_a_strategy_cannot_use_are_refused(half):
    with pytest.raises(ConfigError, match=r"thresholds: found a list; allowed with strategy 'nested'"):
        search(half, "nested", thresholds=THRESHOLDS)
    with pytest.raises(ConfigError, match=r'found "continuous"; allowed with strategy'):
        search(half, thresholds="continuous")
    with pytest.raises(TableError, match="found estimates, which have no exit profiles"):
        search(TableEvaluation(half, outside=Neighbours(half)), "nested")
    with pytest.raises(ConfigError, match="nestd"):
        search(half, "nestd")
