"""Temperatures of a network's exits."""

import copy

import pytest
import torch
from early_exit_nets import RESOLUTION, make_eenn

from edanas.model.temperature import TEMPERATURES, apply_temperatures


def images(count=16):
    return torch.rand(count, 1, RESOLUTION, RESOLUTION, generator=torch.Generator().manual_seed(1))


def test_confidences_are_those_of_scaled_logits_and_labels_stay():
    network = make_eenn((0.5, None, 0.5), heads=(0, 2))
    labels, before = network.all_exits(images())
    apply_temperatures(network, (2.0, 0.5, 4.0))
    after = network.all_exits(images())
    assert torch.equal(after[0], labels)
    plain = make_eenn((0.5, None, 0.5), heads=(0, 2))
    with torch.no_grad():
        for head, scale in ((plain.heads["0"], 2.0), (plain.heads["2"], 0.5), (plain.backbone.head, 4.0)):
            head[-1].weight /= scale
            head[-1].bias /= scale
    assert torch.allclose(after[1], plain.all_exits(images())[1])
    assert not torch.allclose(after[1], before)


def test_temperatures_are_replaced_and_not_multiplied():
    network = make_eenn((0.5, 0.5))
    before, state = network.all_exits(images())[1], copy.deepcopy(network.state_dict())
    apply_temperatures(network, (2.0, 3.0, 4.0))
    apply_temperatures(network, (1.0, 1.0, 1.0))
    assert torch.equal(network.all_exits(images())[1], before)
    apply_temperatures(network, (2.0, 3.0, 4.0))
    assert network.description[TEMPERATURES] == [2.0, 3.0, 4.0]
    apply_temperatures(network, ())
    assert network.state_dict().keys() == state.keys()
    assert TEMPERATURES not in network.description


@pytest.mark.parametrize("wrong", [(1.0, 2.0), (1.0, 2.0, 0.0), (1.0, 2.0, float("inf"))])
def test_invalid_temperatures_are_refused(wrong):
    with pytest.raises(ValueError, match="allowed: 3 numbers above 0"):
        apply_temperatures(make_eenn((0.5, 0.5)), wrong)
