"""Results with continuous thresholds: trade-offs of each backbone, with each number of exits."""

import itertools

import numpy as np
import pytest

from edanas.core.contracts import Evaluator
from edanas.core.fronts import Fronts
from edanas.core.types import (
    Backbone,
    Candidate,
    Evaluation,
    ExitProfile,
    SegmentCost,
    SelectionScheme,
)
from edanas.evaluation.result_choice import choose_results
from edanas.evaluation.scoring import pareto_schemes, score
from edanas.evaluation.selection import with_every_number_of_exits
from edanas.goals.objectives import Accuracy, ExecutedMacs
from edanas.model.anatomy import Anatomy

OBJECTIVES = (Accuracy(), ExecutedMacs())
POINTS = 3
EVERY_EXIT = SelectionScheme((1.0,) * POINTS)


def cost(macs):
    return SegmentCost(macs, 1, 1, (1, 1, 1))


ANATOMY = Anatomy(tuple(cost(m) for m in (30, 40, 50, 60)), {i: cost(2 + i) for i in range(POINTS)}, cost(5))


class Profiled(Evaluator):
    """Scores schemes on prepared profiles."""

    def __init__(self, *, removable=True):
        self.removable = removable

    def prepare(self, progress):
        pass

    def evaluate(self, candidate):
        return self.rescore(candidate, profile(candidate.backbone["width"]))

    def rescore(self, candidate, profile):
        return score(profile, candidate.scheme, ANATOMY)

    def schemes(self, candidate, profile):
        return pareto_schemes(profile, candidate, ANATOMY, removable=self.removable)

    def passes(self):
        return 0.0, 0.0

    def network(self, candidate):
        raise NotImplementedError


def profile(width, samples=24):
    """Later exits are more accurate; confidence correlates with correctness."""
    rng = np.random.default_rng(width)
    correct = rng.random((samples, POINTS + 1)) < np.array([0.5, 0.65, 0.8, 0.9])
    confidence = np.clip(0.5 * correct + rng.random(correct.shape) * 0.5, 0, 1).astype(np.float32)
    return ExitProfile(tuple(range(POINTS)), confidence, correct)


def archive(count=4):
    evaluator = Profiled()
    candidates = [Candidate(Backbone((("width", w),)), EVERY_EXIT) for w in range(count)]
    return [Evaluation(c, 0, evaluator.evaluate(c)) for c in candidates]


def searched(done, evaluator):
    fronts = Fronts(evaluator, OBJECTIVES)
    return [e for one in done for e in fronts.evaluations(one, profile(one.candidate.backbone["width"]))]


def profile_of(done):
    widths = {e.candidate.id: e.candidate.backbone["width"] for e in done}
    return lambda key: profile(widths[key])


@pytest.mark.parametrize("placed", [(0,), (1, 2), (0, 1, 2)])
def test_schemes_use_existing_exits_and_none_dominates_another(placed):
    exit_profile = profile(7)
    scheme = SelectionScheme(tuple(1.0 if i in placed else None for i in range(POINTS)))
    schemes = pareto_schemes(exit_profile, Candidate(Backbone(()), scheme), ANATOMY, removable=True)
    assert all(set(each.placed) <= set(placed) for each in schemes)
    points = [(m.accuracy, m.executed_macs) for m in (score(exit_profile, each, ANATOMY) for each in schemes)]
    assert len(points) > 2
    for (a, m), (b, n) in itertools.permutations(points, 2):
        assert not (b >= a and n <= m)
    fixed = pareto_schemes(exit_profile, Candidate(Backbone(()), scheme), ANATOMY, removable=False)
    assert {each.placed for each in fixed} == {placed}


def test_every_number_of_exits_is_among_the_results():
    done, evaluator = archive(), Profiled()
    pool = with_every_number_of_exits(
        searched(done, evaluator), done, OBJECTIVES, evaluator, profile_of(done)
    )
    assert len({e.candidate.id for e in pool}) == len(pool)
    assert {e.candidate.scheme.exits for e in pool if e.candidate.scheme.exits} == {1, 2, 3}
    chosen = choose_results(pool, OBJECTIVES, POINTS)
    assert [e.candidate.scheme.exits for e in chosen] == [1, 2, 3]
    for e in pool:
        metrics = score(profile(e.candidate.backbone["width"]), e.candidate.scheme, ANATOMY)
        assert e.metrics == metrics


def test_exits_that_cannot_be_removed_stay():
    done, evaluator = archive(), Profiled(removable=False)
    before = searched(done, evaluator)
    assert {e.candidate.scheme.exits for e in before} == {POINTS}
    assert with_every_number_of_exits(before, done, OBJECTIVES, evaluator, profile_of(done)) == before
