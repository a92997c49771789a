import copy
from dataclasses import replace

import pytest
import torch
from small_runs import CPU, PLAIN, equal_states, parts, provider, relabelled, space
from torch import nn

from edanas.core.types import DataParts
from edanas.exits.criteria import ScoreMargin
from edanas.model.eenn import EENN
from edanas.training.distillation import distillation_targets
from edanas.training.finetune import finetune, step_count
from edanas.training.phased_schemes import Distill, Layerwise
from edanas.training.schemes import Joint, JointCombined, Mixed
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
    """A recalibration that a training of one phase must not call."""
    raise AssertionError


def train(network, settings=PLAIN, data=None, seed=0, scheme=None, bar=None, recalibrate=nothing):
    finetune(network, data or parts(), settings, scheme or Joint(), seed, bar or Counter(), recalibrate)
    return network


@pytest.mark.parametrize("chosen", ["fp32", "bf16"])
def test_the_choice_of_the_faster_precision_changes_nothing_else(chosen, monkeypatch):
    def choose(passes, device):
        passes("bf16")
        passes("fp32")
        return chosen

    monkeypatch.setattr("edanas.training.finetune.faster_precision", choose)
    by_choice = train(make(), replace(PLAIN, precision="auto"))
    assert equal_states(by_choice, train(make(), replace(PLAIN, precision=chosen)))


@torch.no_grad()
def exit_losses(network):
    """Cross-entropy of each exit on the train part, with the batches' own statistics."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    data = parts()
    images, labels = next(Batches(data, replace(PLAIN, batch_size=64), 12, CPU).epoch(torch.Generator()))
    return [float(nn.functional.cross_entropy(each, labels)) for each in network.prepared_logits(images)]


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


def test_an_image_is_mirrored_in_one_of_two_epochs(monkeypatch):
    rising = torch.arange(12).to(torch.uint8).expand(64, 1, 12, 12)
    data = replace(parts(), train=replace(parts().train, images=rising, labels=torch.arange(64) % 10))
    network, mirrored, prepared_logits = make(), [], EENN.prepared_logits

    def watched(self, images, *rest):
        mirrored.append(images[:, 0, 0, 0] > images[:, 0, 0, -1])
        return prepared_logits(self, images, *rest)

    monkeypatch.setattr(EENN, "prepared_logits", watched)
    train(network, replace(PLAIN, augment=("alternating-flip",)), data)
    first, second = torch.cat(mirrored).view(2, 64).sum(1).tolist()
    # The images of an epoch have an order of their own, so that only the numbers compare.
    assert first + second == 64
    assert 8 < first < 56


def test_dropout_follows_the_seed_too():
    with_dropout, without = train(make(dropout=0.9)), train(make(dropout=0.0))
    assert equal_states(with_dropout, train(make(dropout=0.9)))
    assert not torch.equal(with_dropout.heads["0"][3].weight, without.heads["0"][3].weight)


def test_torch_s_generator_is_left_as_it_was():
    state = torch.get_rng_state()
    train(make())
    assert torch.equal(torch.get_rng_state(), state)


def test_every_part_of_the_network_is_trained():
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
    assert bar.steps == step_count(parts(), settings) == 4 * epochs
    assert not any(module.training for module in network.modules())
    assert equal_states(network, before) == (epochs == 0)


class Recalibrations:
    """Copies of a network's state at each recalibration."""

    def __init__(self, network):
        self.network, self.states = network, []

    def __call__(self):
        self.states.append(copy.deepcopy(self.network.state_dict()))
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()


def changes(before, after):
    """Names of the parts that differ in a network with exits at 0 and 2."""
    names = {name for name in after if not torch.equal(before[name], after[name])}
    return {".".join(name.split(".")[: 3 if "stages" in name else 2]) for name in names}


STAGES = [f"backbone.stages.{number}" for number in range(5)]
HEADS = ["heads.0", "heads.2", "backbone.head"]


def test_layer_by_layer_nothing_but_an_exit_s_own_part_changes_in_its_phase():
    """Not even BatchNorm's statistics: earlier stages run in eval mode. Three phases share 8 steps."""
    network = make()
    anew = Recalibrations(network)
    start = copy.deepcopy(network.state_dict())
    train(network, scheme=Layerwise(), recalibrate=anew)
    first, second = anew.states
    assert changes(start, first) == {STAGES[0], HEADS[0]}
    reset = {name for name in second if "running" in name or "num_batches" in name}
    weights = {name: value for name, value in second.items() if name not in reset}
    assert changes(first, weights) == {STAGES[1], STAGES[2], HEADS[1]}
    weights = {name: value for name, value in network.state_dict().items() if name not in reset}
    assert changes(second, weights) == {STAGES[3], STAGES[4], HEADS[2]}


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_distilled_exits_leave_the_backbone_as_it_is(ema):
    network = make()
    anew = Recalibrations(network)
    start = copy.deepcopy(network.state_dict())
    train(network, replace(PLAIN, ema=ema), scheme=Distill(), recalibrate=anew)
    (backbone,) = anew.states
    assert changes(start, backbone) == {*STAGES, HEADS[2]}
    after = {name: v for name, v in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    same = {name: v for name, v in after.items() if "running" not in name}
    assert changes(backbone, same) == {HEADS[0], HEADS[1]}
    # Recalibration is faked here, so the statistics are the initial ones.
    means = [value for name, value in after.items() if name.endswith("running_mean") and "heads" not in name]
    assert means
    assert not any(value.any() for value in means)


@pytest.mark.parametrize(
    "scheme",
    [Joint(weights="learned"), JointCombined("learned"), Layerwise(), Distill(backbone=0.6), Mixed()],
    ids=lambda scheme: type(scheme).__name__,
)
def test_every_scheme_teaches_every_exit_alike_from_the_same_seed(scheme):
    network, settings = make(dropout=0.0), replace(PLAIN, epochs=12, learning_rate=0.02)
    before = exit_losses(network)
    after = exit_losses(train(network, settings, scheme=scheme, recalibrate=lambda: None))
    assert all(new < old for new, old in zip(after, before, strict=True))
    torch.rand(3)
    short = replace(PLAIN, epochs=1)
    pair = [train(make(), short, scheme=scheme, recalibrate=lambda: None) for _ in range(2)]
    assert equal_states(*pair)


def test_learned_weights_differ_from_fixed_ones_after_some_steps():
    first, second = train(make()), train(make(), scheme=Joint(weights="learned"))
    assert not equal_states(first, second)


def test_rescaled_sgd_moves_layers_of_three_exits_a_third_as_far():
    """One step, without momentum's past: the segments serve three exits, two and one."""
    settings = replace(PLAIN, epochs=1, batch_size=64, optimizer="sgd", weight_decay=0.0, gradient_clip=0.0)
    start, plain, rescaled = make(dropout=0), make(dropout=0), make(dropout=0)
    train(plain, settings)
    train(rescaled, settings, scheme=Joint(rescale=True))
    for name, value in start.named_parameters():
        served = {"0": 3, "1": 2, "2": 2}.get(name.split(".")[2], 1) if "stages" in name else 1
        moved, less = plain.get_parameter(name) - value, rescaled.get_parameter(name) - value
        assert torch.allclose(moved / served, less, rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize("augment", [(), ("mixup",)])
def test_a_teacher_with_the_whole_share_replaces_the_labels(augment):
    """Labels do not matter then; with no share, the teacher does not."""

    def answers(images):
        return torch.nn.functional.one_hot(torch.full((len(images),), 3), 10).float()

    wrong = relabelled(parts().train, torch.zeros_like(parts().train.labels))
    mislabelled = replace(parts(), train=wrong)
    bar = Counter()
    states = []
    for data, share in ((parts(), 1.0), (mislabelled, 1.0), (parts(), 0.0)):
        network = make(dropout=0.0)
        settings = replace(PLAIN, distillation=share, epochs=1, augment=augment)
        finetune(network, data, settings, Joint(), 0, bar, nothing, answers)
        states.append(network)
    assert equal_states(states[0], states[1])
    assert not equal_states(states[0], states[2])
    alone = make(dropout=0.0)
    finetune(alone, parts(), replace(PLAIN, epochs=1, augment=augment), Joint(), 0, bar, nothing)
    assert equal_states(states[2], alone)


def test_a_mixture_of_targets_is_a_mixture_of_losses():
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 4), torch.arange(6) % 4
    answers = torch.randn(6, 4).softmax(1)
    mixed = distillation_targets(torch.zeros(6, 1, 2, 2), labels, lambda _: answers, 0.3, 0.1)
    loss = torch.nn.functional.cross_entropy
    expected = 0.7 * loss(logits, labels, label_smoothing=0.1) + 0.3 * loss(logits, answers)
    assert torch.allclose(loss(logits, mixed), expected, atol=1e-6)
