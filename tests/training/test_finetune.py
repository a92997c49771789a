import copy
from dataclasses import replace

import pytest
import torch
from small_runs import CPU, PLAIN, equal_states, parts, provider, relabelled, space
from torch import nn

from edanas.core.types import DataParts
from edanas.exits.criteria import ScoreMargin
from edanas.exits.eenn import EENN
from edanas.training.finetune import finetune, steps_of
from edanas.training.schemes import Joint
from edanas.training.steps import Batches


def make(placed=(0, 2), seed=0, dropout=0.2):
    """The largest of the tiny backbones, with heads at some of its exit points."""
    data = parts()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = provider().build(space().largest(), data.task)
        channels = [options[-1] for options in provider().exit_channels()]
        heads = {
            at: nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels[at], 10)
            )
            for at in placed
        }
    scheme = tuple(0.5 if at in placed else None for at in range(4))
    return EENN(backbone, heads, scheme, ScoreMargin(), data.mean, data.std, data.train.classes).eval()


class Counter:
    def __init__(self):
        self.steps = 0

    def advance(self, steps=1, note=""):
        self.steps += steps


def nothing():
    """What no plan of one phase calls."""
    raise AssertionError


def train(network, settings=PLAIN, data=None, seed=0, scheme=None, bar=None, recalibrate=nothing):
    finetune(network, data or parts(), settings, scheme or Joint(), seed, bar or Counter(), recalibrate)
    return network


@torch.no_grad()
def exit_losses(network):
    """Cross-entropy of each exit on the train part, with the batches' own statistics."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    data = parts()
    images, labels = next(Batches(data, replace(PLAIN, batch_size=64), 12, CPU).epoch(torch.Generator()))
    return [float(nn.functional.cross_entropy(each, labels)) for each in network.logits(images)]


@pytest.mark.parametrize(("optimizer", "rate"), [("adamw", 0.02), ("sgd", 0.1)])
def test_every_exit_learns(optimizer, rate):
    settings = replace(PLAIN, epochs=8, optimizer=optimizer, learning_rate=rate)
    network = make()
    before = exit_losses(network)
    after = exit_losses(train(network, settings))
    assert len(after) == 3
    assert all(new < old - 0.1 for new, old in zip(after, before, strict=True))


def test_same_seed_same_weights_whatever_torch_drew_before():
    settings = replace(PLAIN, augment=("shift", "rotate", "erase"))
    first = train(make(), settings)
    torch.rand(7)
    assert equal_states(first, train(make(), settings))
    assert not equal_states(first, train(make(), settings, seed=1))


def test_dropout_follows_the_seed_too():
    with_dropout, without = train(make(dropout=0.9)), train(make(dropout=0.0))
    assert equal_states(with_dropout, train(make(dropout=0.9)))
    assert not torch.equal(with_dropout.heads["0"][3].weight, without.heads["0"][3].weight)


def test_torch_s_generator_is_left_as_it_was():
    state = torch.get_rng_state()
    train(make())
    assert torch.equal(torch.get_rng_state(), state)


def test_all_that_exists_is_trained_and_nothing_else():
    network = make(placed=(1,))
    before = copy.deepcopy(network.state_dict())
    train(network, replace(PLAIN, epochs=1))
    assert set(network.state_dict()) == set(before)
    assert {name.split(".")[1] for name in before if name.startswith("heads.")} == {"1"}
    trained = dict(network.named_parameters())
    unchanged = [name for name in trained if torch.equal(trained[name], before[name])]
    assert unchanged == []


def test_without_heads_the_last_exit_is_trained():
    network = make(placed=())
    before = exit_losses(network)
    after = exit_losses(train(network, replace(PLAIN, epochs=6, learning_rate=0.02)))
    assert len(after) == 1
    assert after[0] < before[0] - 0.2


def test_a_weight_of_nothing_trains_nothing():
    network = make()
    before = {name: value.clone() for name, value in network.heads["0"].state_dict().items()}
    train(network, replace(PLAIN, weight_decay=0.0), scheme=Joint(early=0.0))
    after = network.heads["0"].state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_only_the_train_part_is_read():
    data = parts()
    zeros = torch.zeros_like
    others = {
        name: replace(relabelled(part, zeros(part.labels)), images=zeros(part.images))
        for name in ("calibration", "validation", "test")
        for part in [getattr(data, name)]
    }
    poisoned = DataParts(train=data.train, mean=data.mean, std=data.std, **others)
    assert equal_states(train(make()), train(make(), data=poisoned))


@pytest.mark.parametrize("epochs", [0, 3])
def test_the_bar_moves_once_a_step_and_the_network_is_ready_for_use(epochs):
    settings, bar = replace(PLAIN, epochs=epochs), Counter()
    network = make().train()
    before = copy.deepcopy(network)
    train(network, settings, bar=bar)
    assert bar.steps == steps_of(parts(), settings) == 4 * epochs
    assert not any(module.training for module in network.modules())
    assert equal_states(network, before) == (epochs == 0)
