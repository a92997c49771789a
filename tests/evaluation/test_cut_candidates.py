"""Candidates that end at an exit point: evaluation, costs, selection of results, and exact fronts."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import space, workbench
from torch.utils.flop_counter import FlopCounterMode

from edanas.core.contracts import Meter, Specimen
from edanas.core.costs import Costs, cut_costs, executed_macs
from edanas.core.cut_backbones import cut
from edanas.core.progress import Silent
from edanas.core.space import SearchSpace
from edanas.core.types import (
    Backbone,
    Candidate,
    Evaluation,
    ExitProfile,
    SegmentCost,
    SegmentFigures,
    SelectionScheme,
    Variable,
)
from edanas.evaluation.finetune import FinetuneEvaluation
from edanas.evaluation.scoring import metrics_of, score
from edanas.evaluation.selection import with_all_schemes
from edanas.evaluation.shared import SharedEvaluation
from edanas.goals.objectives import Accuracy, ExecutedMacs
from edanas.model.anatomy import Anatomy
from edanas.thresholds.fronts import threshold_front
from edanas.thresholds.profiles import outcome
from edanas.thresholds.schemes import ended_profile


def cut_space() -> SearchSpace:
    whole = space()
    variables = whole.variables[: whole.backbone_dimensions]
    return SearchSpace(variables, (0.05, 0.2, None), whole.exit_points, cut=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    bench = workbench(tmp_path_factory.mktemp("run"), training__epochs=2)
    evaluation = SharedEvaluation(replace(bench, space=cut_space()))
    evaluation.prepare(Silent())
    return evaluation


def shorter(evaluator, candidate, stages):
    """Return the candidate that ends after `stages` stages, with the exits before."""
    variables = evaluator.workbench.provider.variables()
    before = candidate.scheme.thresholds[: stages - 1]
    rest = (None,) * (len(candidate.scheme.thresholds) - len(before))
    return Candidate(cut(candidate.backbone, variables, stages), SelectionScheme((*before, *rest)))


@pytest.mark.parametrize("stages", [1, 2, 4])
def test_profile_and_costs_are_the_columns_of_the_whole_backbone(shared, stages):
    whole = Candidate(cut_space().largest(), SelectionScheme((0.05, 0.2, 0.05, 0.2)))
    candidate = shorter(shared, whole, stages)
    profile, expected = shared.profile(candidate), ended_profile(shared.profile(whole), stages - 1)
    assert profile.points == expected.points == tuple(range(stages - 1))
    assert np.array_equal(profile.confidence, expected.confidence)
    assert np.array_equal(profile.correct, expected.correct)
    bench = shared.workbench
    costs = bench.anatomy_of(candidate.backbone, candidate.scheme.placed).costs
    complete = bench.anatomy_of(whole.backbone, whole.scheme.placed).costs
    decisions = bench.costs._decision_costs()
    expected_costs = cut_costs(complete, stages)
    assert costs.stages == expected_costs.stages
    assert costs.heads == expected_costs.heads
    # The decision of the last exit replaces that of the exit point.
    assert costs.last - decisions[-1].macs == expected_costs.last - decisions[stages - 1].macs
    metrics = shared.evaluate(candidate)
    everyone = [*candidate.scheme.thresholds]
    everyone[stages - 1] = 0.0
    anatomy = bench.anatomy_of(whole.backbone, (0, 1, 2, 3))
    same = score(shared.profile(whole), SelectionScheme(tuple(everyone)), anatomy)
    assert metrics.accuracy == same.accuracy
    assert metrics.executed_macs == pytest.approx(same.executed_macs, abs=decisions[-1].macs)


@pytest.mark.parametrize("make", [SharedEvaluation, FinetuneEvaluation])
def test_the_delivered_network_runs_what_the_costs_say(tmp_path, make):
    bench = replace(workbench(tmp_path), space=cut_space())
    evaluation = make(bench)
    evaluation.prepare(Silent())
    whole = Candidate(cut_space().whole().smallest(), SelectionScheme((0.2, 0.05, 0.2, None)))
    candidate = shorter(evaluation, whole, 3)
    network, metrics = evaluation.network(candidate), evaluation.evaluate(candidate)
    assert network.points == (0, 1)
    assert Anatomy.of(network, 1) == bench.anatomy_of(candidate.backbone, (0, 1))
    assert metrics.params == sum(p.numel() for p in network.parameters())
    counted = 0
    for image in bench.parts.validation.images:
        with FlopCounterMode(display=False) as counter:
            network(image[None])
        counted += counter.get_total_flops() / 2
    decisions = network.decision_costs()
    assert not any(cost.macs for cost in decisions)
    assert metrics.executed_macs == pytest.approx(counted / len(bench.parts.validation))
    assert (
        metrics.backbone_macs
        == sum(bench.anatomy_of(candidate.backbone, ()).costs.stages) + Anatomy.of(network, 1).last.macs
    )


def test_whole_candidates_are_evaluated_as_without_cut_networks(shared, tmp_path):
    plain = SharedEvaluation(workbench(tmp_path, training__epochs=2))
    plain.prepare(Silent())
    candidate = Candidate(space().largest(), SelectionScheme((0.05, None, 0.2, None)))
    assert plain.evaluate(candidate) == shared.evaluate(candidate)


def test_views_of_cut_backbones_share_the_heads_of_the_supernet(shared):
    network = shared._network
    whole, images = cut_space().largest(), torch.zeros(2, 1, 12, 12)
    network.eval()
    with torch.no_grad():
        every = network.logits(whole, images)
        for stages in (1, 3):
            backbone = cut(whole, network.variables, stages)
            logits = network.logits(backbone, images)
            assert all(torch.equal(a, b) for a, b in zip(logits, every[:stages], strict=True))


def random_profile(rng: np.random.Generator, points: int, samples: int) -> ExitProfile:
    confidence = rng.random((samples, points + 1)).astype(np.float32).round(2)
    return ExitProfile(tuple(range(points)), confidence, rng.random((samples, points + 1)) < 0.7)


def random_costs(rng: np.random.Generator, points: int) -> Costs:
    stages, heads = rng.integers(20, 99, points + 1), rng.integers(1, 9, points)
    return Costs(tuple(map(int, stages)), tuple(map(int, heads)), int(rng.integers(1, 9)))


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(2, 25))
@settings(max_examples=40)
def test_a_front_over_continuous_thresholds_covers_all_cut_networks(seed, points, samples):
    """Brute force over ends and thresholds finds nothing better than the front of the whole backbone."""
    rng = np.random.default_rng(seed)
    profile, costs = random_profile(rng, points, samples), random_costs(rng, points)
    front = threshold_front(profile, costs, points)
    assert front.exact
    for end in range(points):
        short, cheap = ended_profile(profile, end), cut_costs(costs, end + 1)
        for chosen in itertools.product((None, 0.3, 0.7), repeat=end):
            scheme = SelectionScheme((*chosen, *((None,) * (points - end))))
            result = outcome(short, scheme)
            macs = executed_macs(cheap, scheme, result.utilization)
            better = (front.accuracy >= result.accuracy - 1e-9) & (front.cost <= macs + 1e-6)
            assert better.any()


class Arithmetic:
    """Rescoring by formulas, for two exit points with given costs."""

    removable = True

    def __init__(self, costs: Costs) -> None:
        self.costs = costs

    def rescore(self, candidate, profile):
        stages = dict(candidate.backbone.choices).get("stages", len(self.costs.stages))
        costs = cut_costs(self.costs, stages)
        segments = [SegmentCost(macs, 0, 1, (1, 1, 1)) for macs in (*costs.stages, costs.last)]
        heads = {at: SegmentCost(m, 0, 1, (1, 1, 1)) for at, m in enumerate(costs.heads) if m is not None}
        anatomy = Anatomy(tuple(segments[:-1]), heads, segments[-1])
        return metrics_of(outcome(profile, candidate.scheme), candidate.scheme, anatomy)


@given(st.integers(0, 10**6))
@settings(max_examples=15)
def test_the_pool_of_results_holds_every_network_of_a_backbone_in_a_list_space(seed):
    """The profile of one whole network gives all networks on its backbone, as scored one by one."""
    rng = np.random.default_rng(seed)
    variables = (Variable("width", (1,)), Variable("kernel", (3,), stage=2))
    every = SearchSpace(variables, (0.3, 0.7, None), 2, cut=True)
    profile, evaluator = random_profile(rng, 2, 20), Arithmetic(random_costs(rng, 2))
    source = Candidate(every.largest(), SelectionScheme((None, None)))
    archive = [Evaluation(source, 0, evaluator.rescore(source, profile))]
    profiles = {source.id: profile}
    pool = with_all_schemes(
        archive, (Accuracy(), ExecutedMacs()), (0.3, 0.7, None), evaluator, profiles.get, variables
    )
    expected = {}
    for genome in every.genomes():
        candidate = every.decode(genome)
        stages = dict(candidate.backbone.choices).get("stages", 3)
        own = profile if stages == 3 else ended_profile(profile, stages - 1)
        expected[candidate.id] = evaluator.rescore(candidate, own)
    assert {each.candidate.id: each.metrics for each in pool} == expected
    assert all(each.candidate in every for each in pool)


class Layers(Meter):
    """Counts stages as 1, heads as 10 and the last exit as 100."""

    counted, name = True, "layers"

    def __init__(self) -> None:
        self.backbones: list[Backbone] = []

    def figures(self, specimen: Specimen) -> SegmentFigures:
        self.backbones.append(specimen.backbone)
        return SegmentFigures((1,) * len(specimen.stages), (10,) * len(specimen.heads), 100)


def test_meters_measure_whole_backbones_and_cut_networks_follow(tmp_path):
    meter = Layers()
    bench = replace(workbench(tmp_path), space=cut_space(), meters=(meter,))
    whole = cut_space().largest()
    for stages in (2, 4):
        backbone = cut(whole, bench.provider.variables(), stages)
        figures = bench.anatomy_of(backbone, (0,)).figures["layers"]
        nothing = 5 - stages
        assert figures.stages == (*((1,) * stages), *((0,) * nothing))
        assert figures.heads == (*((10,) * (stages - 1)), *((None,) * nothing))
        assert figures.last == 10
    assert all("stages" not in each for each in meter.backbones)
    assert bench.anatomy_of(whole, (0,)).figures["layers"].last == 100
