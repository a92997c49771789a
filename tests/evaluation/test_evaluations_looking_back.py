"""Evaluations with inference rules and criteria that use earlier exits, or learn."""

from dataclasses import replace

import pytest

from edanas.core.contracts import Evaluator
from edanas.core.cut_backbones import cut, restricted
from edanas.core.progress import Silent
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, Candidate, SelectionScheme
from edanas.evaluation.finetune import FinetuneEvaluation
from edanas.evaluation.shared import SharedEvaluation
from edanas.evaluation.workbench import Workbench
from edanas.exits.correctness import Correctness
from edanas.exits.criteria import MaxProbability, Patience
from edanas.exits.earlier_exits import ZeroTimeWaste
from edanas.exits.gates import LearnedGate
from edanas.exits.inference import Aggregate, EarlyStop
from edanas.exits.searched import Searched
from edanas.testing import check_evaluation
from edanas.testing.evaluations import toy_workbench

BOTH = Correctness(), Aggregate("learned")
NEITHER = LearnedGate(), EarlyStop()
CORRECTED = MaxProbability(), ZeroTimeWaste()


@pytest.mark.parametrize(
    ("evaluation", "readers"),
    [
        (SharedEvaluation, BOTH),
        (FinetuneEvaluation, BOTH),
        (SharedEvaluation, NEITHER),
        (SharedEvaluation, CORRECTED),
        (FinetuneEvaluation, CORRECTED),
    ],
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
    learned = replace(bench, criterion=Correctness()).anatomy_of(backbone, (0, 1))
    features = 4 + 3 + 2
    assert [b - a for a, b in zip(free.costs.heads, learned.costs.heads, strict=True)] == [features] * 2
    assert learned.costs.last - free.costs.last == features
    assert learned.last.params - free.last.params == 3 * (features + 1)
    assert learned.heads[0].params == free.heads[0].params


@pytest.mark.parametrize("evaluation", [SharedEvaluation, FinetuneEvaluation])
def test_corrections_learn_with_the_heads(evaluation, tmp_path):
    """The rule of a network inherits the supernet's weights, or is trained with the network."""
    bench = replace(toy_workbench(tmp_path), inference=ZeroTimeWaste())
    evaluator = evaluation(bench)
    evaluator.prepare(Silent())
    network = evaluator.network(Candidate(bench.space.largest(), SelectionScheme((0.75, 0.75))))
    assert network.inference.connections[1].abs().max() > 0
    assert network.inference.weights[1].abs().max() > 0


@pytest.mark.parametrize("evaluation", [SharedEvaluation, FinetuneEvaluation])
def test_searched_heads_have_the_structure_and_costs_of_their_genes(evaluation, tmp_path):
    classifier, bench = Searched(layers=2, channels=4), toy_workbench(tmp_path)
    variables = (*bench.provider.variables(), *classifier.variables(2))
    space = SearchSpace(variables, (0.3, 0.6, None), 2, cut=True)
    bench = replace(bench, classifier=classifier, space=space)
    evaluator = evaluation(bench)
    evaluator.prepare(Silent())
    plain = restricted(bench.space.whole().largest(), bench.provider.variables())
    genes = {"exit1.layers": 1, "exit1.layer1.kind": 2}
    genes |= {"exit2.layers": 2, "exit2.layer1.kind": 4, "exit2.layer2.kind": 1}
    chosen = Backbone.of({**dict(plain.choices), **genes})
    candidate = Candidate(chosen, SelectionScheme((0.3, 0.6)))
    assert candidate in bench.space
    network = evaluator.network(candidate)
    assert [len(head) - 3 for head in network.heads.values()] == [1, 2]
    counted, built = bench.anatomy_of(chosen, (0, 1)), bench.anatomy(network)
    assert counted.costs == built.costs
    assert [head.params for head in counted.heads.values()] == [head.params for head in built.heads.values()]
    shorter = cut(chosen, bench.variables, 1)
    assert shorter["exit1.layer1.kind"] == 2
    assert "exit2.layers" not in shorter
    ended = evaluator.network(Candidate(shorter, SelectionScheme((None, None))))
    assert len(ended.backbone.head) - 3 == 1
