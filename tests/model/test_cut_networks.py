"""Networks that end at an exit point."""

import copy
import hashlib
from dataclasses import replace

import pytest
import torch
from small_runs import parts, space, workbench
from torch.utils.flop_counter import FlopCounterMode

from edanas.core.costs import backbone_macs, cut_costs
from edanas.core.cut_backbones import cut
from edanas.core.errors import ConfigError
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.exits.correctness import Correctness
from edanas.exits.criteria import ScoreMargin
from edanas.exits.gates import LearnedGate
from edanas.exits.inference import Aggregate, EarlyStop
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.model.fitting import fit
from edanas.model.loading import load
from edanas.model.temperature import apply_temperatures

SCHEME = (0.3, 0.4, 0.2, 0.3)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return workbench(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def whole(bench) -> EENN:
    torch.manual_seed(0)
    backbone = space().largest()
    network = bench.builder.with_every_head(backbone)
    network.scheme = SCHEME
    network.description = bench.describe(backbone)
    return network


def flops(network: EENN) -> int:
    """Return the multiply-adds of one image that passes all exits, counted by torch."""
    network.scheme = tuple(None if t is None else 1.0 for t in network.scheme.thresholds)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, network.resolution, network.resolution))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_a_cut_network_gives_the_answers_of_the_whole_network_whose_last_exit_never_waits(whole, stages):
    images = parts().test.images
    cut_network, limit = whole.cut(stages), stages - 1
    before = whole.predict(images)
    try:
        whole.scheme = (*SCHEME[:limit], 0.0, *((None,) * (3 - limit)))
        expected = whole.predict(images)
    finally:
        whole.scheme = SCHEME
    answers = cut_network.predict(images)
    assert torch.equal(answers.label, expected.label)
    assert torch.equal(answers.confidence, expected.confidence)
    assert torch.equal(answers.exit, torch.where(expected.exit == limit, 4, expected.exit))
    assert torch.equal(whole.predict(images).exit, before.exit), "the original network is unchanged"


@pytest.mark.parametrize("stages", [1, 3])
def test_costs_are_those_of_the_modules_that_run(bench, whole, stages):
    network = whole.cut(stages)
    anatomy, complete = Anatomy.of(network, 1), Anatomy.of(whole, 1)
    assert anatomy.costs == cut_costs(complete.costs, stages)
    decisions = (
        sum(cost.macs for cost in network.decision_costs()[: stages - 1]) + network.decision_costs()[-1].macs
    )
    heads = sum(macs for macs in anatomy.costs.heads if macs is not None)
    assert flops(whole.cut(stages)) == backbone_macs(anatomy.costs) + heads - decisions
    backbone = cut(space().largest(), bench.provider.variables(), stages)
    counted = bench.anatomy_of(backbone, tuple(range(stages - 1)))
    assert counted == anatomy
    assert sum(p.numel() for p in network.backbone.parameters()) == sum(
        each.params for each in (*anatomy.stages, anatomy.last)
    )


def test_a_cut_network_is_saved_and_loaded(whole, bench, tmp_path):
    network = whole.cut(2, bench.provider.variables())
    assert network.description["backbone"]["stages"] == 2
    assert not any(name.startswith("stage3") for name in network.description["backbone"])
    path, weights = SafetensorsExporter().export(network, tmp_path / "net")
    whole_weights = SafetensorsExporter().export(whole, tmp_path / "whole")[1]
    assert weights.stat().st_size < whole_weights.stat().st_size / 2
    images, loaded = parts().test.images, load(path)
    for form in (loaded, loaded.freeze()):
        answers, expected = form.predict(images), network.predict(images)
        assert torch.equal(answers.label, expected.label)
        assert torch.equal(answers.exit, expected.exit)
    again = SafetensorsExporter().export(loaded, tmp_path / "again")[1]
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(weights.read_bytes()).digest()


def test_a_cut_network_can_be_cut_again(whole, bench):
    variables, images = bench.provider.variables(), parts().test.images
    twice, once = whole.cut(3, variables).cut(1, variables), whole.cut(1, variables)
    assert twice.description == once.description
    assert torch.equal(twice.predict(images).confidence, once.predict(images).confidence)


def test_a_cut_needs_a_head(whole):
    with pytest.raises(ConfigError, match="stages: found 3; allowed, by the exits with a head: 1"):
        whole.cut(2).cut(3)
    with pytest.raises(ConfigError, match="stages: found 5"):
        whole.cut(5)


@pytest.mark.parametrize(
    ("criterion", "rule"),
    [(LearnedGate(), EarlyStop()), (ScoreMargin(), Aggregate("learned")), (Correctness(), EarlyStop())],
)
def test_what_rule_and_criterion_learned_for_an_exit_point_stays_with_it(bench, criterion, rule):
    learned = replace(bench, criterion=criterion, inference=rule)
    torch.manual_seed(1)
    network = learned.builder.with_every_head(space().largest())
    network.scheme = (0.9, 0.9, 0.9, None)
    fit(network, parts().calibration)
    for module in (network.criterion, network.inference):
        for weight in module.parameters() if isinstance(module, torch.nn.Module) else ():
            torch.nn.init.normal_(weight)
    images = parts().test.images
    network.scheme = (0.9, 0.9, 0.0, None)
    expected, answers = network.predict(images), network.cut(3).predict(images)
    assert torch.equal(answers.label, expected.label)
    assert torch.equal(answers.confidence, expected.confidence)


def test_the_temperature_of_the_exit_point_becomes_that_of_the_last_exit(whole, bench, tmp_path):
    tempered = copy.deepcopy(whole)
    apply_temperatures(tempered, [1.5, 2.0, 2.5, 3.0, 3.5])
    network = tempered.cut(3, bench.provider.variables())
    assert network.description["temperatures"] == [1.5, 2.0, 2.5]
    path = SafetensorsExporter().export(network, tmp_path / "net")[0]
    images = parts().test.images
    assert torch.equal(load(path).predict(images).confidence, network.predict(images).confidence)
