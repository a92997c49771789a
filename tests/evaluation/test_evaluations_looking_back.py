"""Evaluations with inference rules and criteria that use earlier exits, or learn."""

from dataclasses import replace

import pytest

from edanas.core.contracts import Evaluator
from edanas.core.progress import Silent
from edanas.core.types import Candidate, SelectionScheme
from edanas.evaluation.finetune import FinetuneEvaluation
from edanas.evaluation.shared import SharedEvaluation
from edanas.evaluation.workbench import Workbench
from edanas.exits.criteria import Patience
from edanas.exits.gates import LearnedGate
from edanas.exits.inference import Aggregate, EarlyStop
from edanas.exits.scheduler import Scheduler
from edanas.testing import check_evaluation
from edanas.testing.evaluations import toy_workbench

BOTH = Scheduler(), Aggregate("learned")
NEITHER = LearnedGate(), EarlyStop()


@pytest.mark.parametrize(
    ("evaluation", "readers"),
    [(SharedEvaluation, BOTH), (FinetuneEvaluation, BOTH), (SharedEvaluation, NEITHER)],
)
def test_metrics_agree_with_each_other_the_network_and_a_repeat(evaluation, readers):
    def make(bench: Workbench) -> Evaluator:
        criterion, inference = readers
        evaluator: Evaluator = evaluation(replace(bench, criterion=criterion, inference=inference))
        return evaluator

    check_evaluation(make)


def test_a_profile_holds_the_placed_exits_alone_for_rules_with_memory(tmp_path):
    bench = toy_workbench(tmp_path)
    backbone = bench.space.largest()
    one, two = (Candidate(backbone, SelectionScheme(each)) for each in ((None, 0.75), (0.75, 0.75)))
    plain, patient = (
        SharedEvaluation(replace(bench, criterion=criterion)) for criterion in (bench.criterion, Patience(2))
    )
    for evaluator in (plain, patient):
        evaluator.prepare(Silent())
    assert plain.removable
    assert plain.profile(one).points == plain.profile(two).points == (0, 1)
    assert not patient.removable
    assert (patient.profile(one).points, patient.profile(two).points) == ((1,), (0, 1))
    # A single exit has no earlier exit to agree with.
    assert (patient.profile(one).confidence[:, 0] == 0.5).all()
    labels, _ = patient.network(two).all_exits(bench.parts.validation.images)
    agreed = 0.5 + 0.5 * (labels[:, 0] == labels[:, 1]).numpy()
    assert (patient.profile(two).confidence[:, 1] == agreed).all()
    assert all(scheme.placed == (0, 1) for scheme in patient.schemes(two, patient.profile(two)))


def test_learned_criteria_and_rules_count_in_costs_and_parameters(tmp_path):
    bench = toy_workbench(tmp_path)
    backbone = bench.space.largest()
    free = bench.anatomy_of(backbone, (0, 1))
    learned = replace(bench, criterion=Scheduler()).anatomy_of(backbone, (0, 1))
    features = 4 + 3 + 2
    assert [b - a for a, b in zip(free.costs.heads, learned.costs.heads, strict=True)] == [features] * 2
    assert learned.costs.last - free.costs.last == features
    assert learned.last.params - free.last.params == 3 * (features + 1)
    assert learned.heads[0].params == free.heads[0].params
