"""Steps of the sandwich training: trained weights, teachers and students."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import CPU, PLAIN, THRESHOLDS, parts, provider, space
from supernet_trainings import SETTINGS, STEPS, CutShort, fresh, trainer

from edanas.core.progress import Silent
from edanas.core.space import SearchSpace
from edanas.supernets.baselines import EECNN
from edanas.training.phased_schemes import Distill, Layerwise
from edanas.training.schemes import Joint
from edanas.training.steps import Batches


def test_the_average_lies_between_earlier_weights(tmp_path):
    """The averaged weights differ from the last ones, and lie between the extremes."""
    biases = []

    class Watched(Joint):
        def loss(self, batch):
            biases.append(training.network.head(0, 8)[-1].bias.detach().clone())
            return super().loss(batch)

    training = trainer(tmp_path / "supernet.pt", scheme=Watched())
    training.run(Silent())
    weights = torch.stack(biases)
    averaged = training.network.head(0, 8)[-1].bias
    assert not torch.equal(averaged, weights[-1])
    assert bool((averaged <= weights.max(0).values + 0.02).all())
    assert bool((averaged >= weights.min(0).values - 0.02).all())


def test_torch_s_generator_is_left_as_it_was(tmp_path):
    state = torch.get_rng_state()
    trainer(tmp_path / "supernet.pt", settings=replace(SETTINGS, epochs=1)).run(Silent())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("backbones", "epochs"), [("sandwich", 16), ("single", 32)])
def test_the_training_lowers_the_loss_of_every_exit_of_every_backbone(tmp_path, backbones, epochs):
    settings = replace(PLAIN, epochs=epochs, learning_rate=0.02, backbones=backbones)
    before, after = fresh(dropout=0.0), fresh(dropout=0.0)
    trainer(tmp_path / "supernet.pt", after, settings).run(Silent())
    rng = np.random.default_rng(0)
    drawn = [space().sample_backbone(rng) for _ in range(8)]
    for backbones in ([space().smallest()], [space().largest()], drawn):
        old, new = (sum(exit_losses(network, each) for each in backbones) for network in (before, after))
        assert old.shape == (5,)
        assert ((old - new) / len(backbones) > 0.1).all(), backbones


def test_a_step_with_a_single_backbone_runs_the_largest_in_every_fourth_step(tmp_path, monkeypatch):
    settings = replace(PLAIN, epochs=1, backbones="single")
    training = trainer(tmp_path / "supernet.pt", settings=settings)
    ran, logits = [], training.network.logits
    monkeypatch.setattr(
        training.network, "logits", lambda backbone, *rest: ran.append(backbone) or logits(backbone, *rest)
    )
    monkeypatch.setattr(training.kernels, "logits", lambda *_: None)
    training.run(Silent())
    assert len(ran) == training.step
    assert all(each == training.largest for each in ran[::4])
    assert len(set(ran)) > 2


@torch.no_grad()
def exit_losses(network, backbone):
    """Cross-entropy (5,) of a backbone's exits on all training images, with the batch's own statistics."""
    network.train()
    side = int(backbone["resolution"])
    batches = Batches(parts(), replace(PLAIN, batch_size=64), side, CPU)
    images, labels = next(batches.epoch(torch.Generator()))
    logits = network.logits(backbone, images)
    return torch.stack([torch.nn.functional.cross_entropy(each, labels) for each in logits])


def gradients(backbone):
    """Names of the parameters that one step on `backbone` alone would train."""
    network = fresh().train()
    side = int(backbone["resolution"])
    images = torch.randn(4, 1, side, side, generator=torch.Generator().manual_seed(0))
    sum(each.square().sum() for each in network.logits(backbone, images)).backward()
    return {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}


def test_each_of_the_three_gets_its_gradient(tmp_path, monkeypatch):
    """In one step: the largest learns from labels, the smallest and a random one from the largest."""
    calls, network = [], fresh()
    training = trainer(tmp_path / "supernet.pt", network, replace(SETTINGS, epochs=1))
    original = network.logits

    def logits(backbone, images, phase):
        calls.append((backbone, tuple(images.shape)))
        return original(backbone, images, phase)

    targets = []
    monkeypatch.setattr(network, "logits", logits)
    monkeypatch.setattr(
        training.scheme,
        "loss",
        lambda batch: targets.append((batch.targets, batch.label_smoothing)) or Joint().loss(batch),
    )
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    training.run(Silent())
    assert len(calls) == 3 * STEPS
    for step in range(STEPS):
        (large, shape), (small, _), (drawn, _) = calls[3 * step : 3 * step + 3]
        assert (large, small) == (space().largest(), space().smallest())
        assert drawn.id not in (large.id, small.id)
        assert shape == (32, 1, 12, 12)
        for backbone, size in calls[3 * step : 3 * step + 3]:
            assert size[2:] == (backbone["resolution"],) * 2
        (labels, smoothing), *students = targets[3 * step : 3 * step + 3]
        assert (labels.dtype, smoothing) == (torch.int64, 0.1)
        for teacher, none in students:
            assert none == 0.0
            assert torch.allclose(teacher.sum(1), torch.ones(32))
            assert not teacher.requires_grad
    expected = set.union(*(gradients(backbone) for backbone, _ in calls))
    changed = {name for name, p in network.named_parameters() if not torch.equal(p.detach(), before[name])}
    assert changed == expected
    # Heads of both widths, and the kernel transforms that only smaller kernels use, are among them.
    assert {name.split(".")[1] for name in changed if name.startswith("heads.")} == set(network.heads)
    assert any(name.endswith("_matrix") for name in changed)


def test_the_teacher_is_the_largest_backbone_s_last_exit(tmp_path, monkeypatch):
    network, targets = fresh(dropout=0.0), []
    training = trainer(tmp_path / "supernet.pt", network, replace(SETTINGS, epochs=1, batch_size=64))
    original, last = network.logits, []

    def logits(backbone, images, phase):
        out = original(backbone, images, phase)
        last.append(out[-1].detach())
        return out

    monkeypatch.setattr(network, "logits", logits)
    monkeypatch.setattr(
        training.scheme, "loss", lambda batch: targets.append(batch.targets) or Joint().loss(batch)
    )
    training.run(Silent())
    assert torch.equal(targets[1], last[0].softmax(1))
    assert torch.equal(targets[2], targets[1])


def test_there_is_a_head_for_every_number_of_channels():
    network = fresh()
    expected = {f"{i}-{c}" for i, options in enumerate(provider().exit_channels()) for c in options}
    assert set(network.heads) == expected
    assert len({id(head) for head in network.heads.values()}) == len(expected)
    for index, options in enumerate(provider().exit_channels()):
        for channels in options:
            assert network.head(index, channels)(torch.zeros(2, channels, 3, 2)).shape == (2, 10)


def test_a_space_of_one_backbone_is_trained_once_in_a_step(tmp_path):
    """Smallest, random and largest backbone are the same: a second pass would train it on its own logits."""
    alone = EECNN(resolutions=(8,), width=0.1)
    over = SearchSpace(alone.variables(), THRESHOLDS, alone.exit_points)
    settings = replace(SETTINGS, epochs=1)
    training = trainer(tmp_path / "supernet.pt", fresh(alone), settings, CutShort(STEPS), over)
    training.run(Silent())
    assert training.network.training is False


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_frozen_parts_of_the_supernet_do_not_change(ema, tmp_path):
    """Parameters; BatchNorm's statistics are recomputed for each backbone anyway."""
    network, snapshots = fresh(), {}

    class Watched(Distill):
        def loss(self, batch):
            now = {name: p.detach().clone() for name, p in network.named_parameters()}
            snapshots.setdefault(batch.phase.name, now)
            return super().loss(batch)

    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    trainer(tmp_path / "supernet.pt", network, replace(SETTINGS, ema=ema), Watched()).run(Silent())
    start, after = snapshots["exits"], dict(network.named_parameters())
    for name, value in before.items():
        early = name.startswith("heads.")
        assert torch.equal(value, start[name]) or not early, name
        assert torch.equal(start[name], after[name]) or early, name
    assert any(not torch.equal(start[name], after[name]) for name in after if name.startswith("heads."))
    assert any(not torch.equal(before[name], start[name]) for name in before)


def test_the_teacher_is_the_last_exit_that_the_phase_runs(tmp_path):
    batches = []

    class Watched(Layerwise):
        def loss(self, batch):
            batches.append((batch.phase.exits, batch.logits[-1].detach(), batch.targets))
            return super().loss(batch)

    trainer(tmp_path / "supernet.pt", settings=replace(SETTINGS, epochs=3), scheme=Watched()).run(Silent())
    assert [exits for exits, *_ in batches[::3]][-1] == (4,)
    for step in range(0, len(batches), 3):
        exits, teacher_logits, labels = batches[step]
        assert (len(exits), labels.dtype) == (1, torch.int64)
        assert all(
            torch.equal(targets, teacher_logits.softmax(1)) for _, _, targets in batches[step + 1 : step + 3]
        )


def test_random_backbones_differ_and_all_learn_from_the_largest(tmp_path, monkeypatch):
    network, calls, targets = fresh(), [], []
    training = trainer(tmp_path / "supernet.pt", network, replace(SETTINGS, random_backbones=3))
    original = network.logits

    def logits(backbone, images, phase):
        out = original(backbone, images, phase)
        calls.append((backbone, out[-1].detach()))
        return out

    monkeypatch.setattr(network, "logits", logits)
    monkeypatch.setattr(
        training.scheme, "loss", lambda batch: targets.append(batch.targets) or Joint().loss(batch)
    )
    training.run(Silent())
    assert len(calls) == len(targets) == 5 * 3 * STEPS
    drawn = set()
    for first in range(0, len(calls), 5):
        (large, teacher_logits), (small, _), *others = calls[first : first + 5]
        assert (large, small) == (space().largest(), space().smallest())
        labels, *probabilities = targets[first : first + 5]
        assert labels.dtype == torch.int64
        assert all(torch.equal(each, teacher_logits.softmax(1)) for each in probabilities)
        drawn |= {backbone.id for backbone, _ in others}
    assert len(drawn) > 3 * STEPS
