import itertools
import pickle

import numpy as np
import pytest
from toy_tables import evaluator

from edanas.core.archive import Archive
from edanas.core.engine import Engine
from edanas.core.errors import CandidateError
from edanas.core.pareto import minimised, non_dominated
from edanas.core.progress import Silent
from edanas.core.settings import SearchSettings
from edanas.core.types import Candidate, SelectionScheme
from edanas.evaluation.scoring import score
from edanas.executors.serial import Serial
from edanas.strategies.random_search import RandomSearch
from edanas.tables.evaluation import TableEvaluation
from edanas.tables.outside import Neighbours
from edanas.tables.quality import leave_out
from edanas.testing.toys import ToyAccuracy, ToyCost, toy_problem

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
        engine = Engine(
            space,
            strategy,
            TableEvaluation(whole),
            Serial(),
            archive,
            OBJECTIVES,
            SearchSettings(initial=90, iterations=9, per_iteration=50),
            lambda *_, **__: None,
            Silent(),
        )
        found = engine.run()
    assert found.stopped == "exhausted"
    assert len(found.evaluations) == space.size() == 384
    values = [
        minimised(
            OBJECTIVES,
            score(whole.profile(backbone), scheme, evaluator().workbench.anatomy_of(backbone, (0, 1))),
        )
        for backbone in whole.backbones
        for scheme in SCHEMES
    ]
    assert front([minimised(OBJECTIVES, e.metrics) for e in found.evaluations]) == front(values)


def test_an_evaluation_on_a_table_keeps_the_contract_s_promises(whole):
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


def test_estimates_are_marked_and_rank_what_was_removed(whole, half):
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


def test_the_quality_that_is_told_is_that_of_backbones_left_out(half, small):
    quality = leave_out(half)
    assert quality.candidates == 6 * 48
    assert 0 < quality.accuracy_error < 0.2
    assert quality.macs_rank > 0.9
    assert "rank correlation" in str(quality)
