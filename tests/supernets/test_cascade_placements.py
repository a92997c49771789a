"""A network of a cascade without an exit after it does not run, and costs nothing."""

import itertools

import pytest
import torch
from cascades import PROVIDER, SAMPLES, TASK, backbone, cascade, counted_layers

from edanas.core.costs import backbone_macs, executed_per_exit
from edanas.core.types import Outcome, SelectionScheme
from edanas.deploy.segments import part_macs
from edanas.evaluation.scoring import metrics_of
from edanas.model.anatomy import Anatomy
from edanas.model.trimming import removal_text, trimmed_network

PLACEMENTS = [placed for size in range(3) for placed in itertools.combinations((0, 1), size)]
IMAGE = SAMPLES.images[:1]


def scheme_of(placed, leaves=2):
    """Return the scheme by which every image leaves at one exit."""
    return tuple((0.0 if at == leaves else 1.0) if at in placed else None for at in (0, 1))


def counted(placed) -> Anatomy:
    """Return the costs that the search counts without a network."""
    stages, _ = PROVIDER.costs(backbone(), TASK)
    whole = Anatomy.of(cascade((1.0, 1.0)), TASK.in_channels)
    return Anatomy(stages, {at: whole.heads[at] for at in placed}, whole.last)


@pytest.mark.parametrize("every_head", [False, True])
@pytest.mark.parametrize("placed", PLACEMENTS)
def test_the_counted_costs_are_those_of_the_layers_that_run(placed, every_head):
    network = cascade(scheme_of(placed), (0, 1) if every_head else None)
    before = dict(enumerate(executed_per_exit(counted(placed).costs, network.scheme)))
    exact = executed_per_exit(Anatomy.of(network, TASK.in_channels).costs, network.scheme)
    for exit_ in (*placed, 2):
        network.scheme = scheme_of(placed, exit_)
        with counted_layers(network) as ran:
            network(IMAGE)
        with counted_layers(network) as predicted:
            network.predict(IMAGE)
        assert sum(ran) == sum(predicted) == before[exit_] == exact[exit_]
    stages, heads = part_macs(network)
    assert sum(stages) + sum(heads.values()) == before[2]


@pytest.mark.parametrize("placed", PLACEMENTS)
def test_training_runs_and_stores_the_networks_of_placed_exits(placed):
    network = cascade(scheme_of(placed)).train()
    anatomy = counted(placed)
    stages = [anatomy.stages[at] for at in (*placed, 2)]
    with counted_layers(network) as ran:
        network.logits(SAMPLES.images[:2])
    assert sum(ran) == sum(stage.macs for stage in stages)
    outcome = Outcome(0.5, (0.0, 0.0, 1.0), (None, None, 0.5), 0.5)
    metrics = metrics_of(outcome, SelectionScheme(scheme_of(placed)), anatomy)
    assert metrics.params == sum(each.numel() for each in network.parameters())
    assert metrics.params == sum(stage.params for stage in stages)
    assert metrics.outputs == sum(stage.outputs for stage in stages)
    assert metrics.backbone_macs == anatomy.stages[2].macs == backbone_macs(anatomy.costs)


@pytest.mark.parametrize("placed", PLACEMENTS)
def test_memory_is_that_of_the_networks_that_run(placed):
    whole, network = Anatomy.of(cascade((1.0, 1.0)), 1), cascade(scheme_of(placed))
    counts = whole.memory(network.scheme), Anatomy.of(network, 1).memory(network.scheme)
    assert counts[0].flash == counts[1].flash
    # The first network that runs reads the image without logits.
    assert 0 <= counts[0].ram - counts[1].ram < 64


@pytest.mark.parametrize("placed", PLACEMENTS)
def test_answers_are_those_of_the_networks_alone(placed):
    labels, confidences = cascade((1.0, 1.0)).all_exits(SAMPLES.images)
    thresholds = [float(confidences[:, at].median()) if at in placed else None for at in (0, 1)]
    prediction = cascade(thresholds).predict(SAMPLES.images, compact="always")
    for row, (label, exit_, confidence) in enumerate(zip(*prediction, strict=True)):
        fires = [at for at in placed if confidences[row, at] >= thresholds[at]]
        at = min(fires, default=2)
        assert (int(exit_), int(label)) == (at, int(labels[row, at]))
        assert float(confidence) == pytest.approx(float(confidences[row, at]), abs=1e-5)


def test_a_frozen_network_runs_the_same_networks():
    network = cascade((1.0, None))
    frozen = network.freeze()
    with counted_layers(frozen) as ran:
        frozen(IMAGE)
    assert sum(ran) == executed_per_exit(Anatomy.of(network, 1).costs, network.scheme)[2]


def test_removed_exits_take_their_networks_with_them():
    whole = cascade((0.5, 0.5))
    shorter = trimmed_network(whole, SelectionScheme((0.5, None)), 2)
    assert "exit 2, stage 2. The weights" in removal_text(whole, shorter)
    assert len(list(shorter.parameters())) < len(list(whole.parameters()))
    expected = cascade((0.5, None)).predict(SAMPLES.images)
    assert torch.equal(shorter.predict(SAMPLES.images).label, expected.label)
    # The network that ends at exit 2 has one network left.
    cut = trimmed_network(whole, SelectionScheme((None, None)), 1)
    assert "exit 1, stages 1, 3, the last exit. The last exit is now" in removal_text(whole, cut)
    with counted_layers(cut) as ran:
        cut(IMAGE)
    assert sum(ran) == Anatomy.of(cut, 1).costs.stages[1] == backbone_macs(Anatomy.of(cut, 1).costs)


def test_weights_of_earlier_versions_hold_the_networks_that_do_not_run():
    network, whole = cascade((0.5, None)), cascade((0.5, 0.5))
    weights = whole.state_dict()
    network.load_state_dict({**weights})
    assert not any(name.startswith("backbone.stages.1.") for name in network.state_dict())
    with pytest.raises(RuntimeError, match="Unexpected key"):
        network.load_state_dict({**weights, "backbone.stages.2.other": torch.zeros(1)})
