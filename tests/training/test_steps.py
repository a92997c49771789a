import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import CPU, PLAIN, parts
from torch import nn

from edanas.core.preprocess import prepare
from edanas.core.settings import TrainingSettings
from edanas.core.types import DataParts, ImageSet
from edanas.training.steps import (
    Batches,
    derive_seed,
    learning_rate,
    make_optimizer,
    recalibration_sample,
    update,
)


def numbered(count):
    """Data whose images and labels both encode the number of the sample."""
    at = torch.arange(count)
    images = at.to(torch.uint8)[:, None, None, None].expand(count, 1, 4, 4).contiguous()
    data = ImageSet(images, at, tuple(map(str, range(count))))
    return DataParts(data, data, data, data, mean=(0.0,), std=(1 / 255,))


def epoch(batches, seed=0):
    return list(batches.epoch(torch.Generator().manual_seed(seed)))


@given(st.integers(1, 70), st.integers(1, 40), st.integers(0, 3))
@settings(max_examples=60)
def test_every_sample_once_an_epoch_but_for_a_small_rest(count, size, seed):
    batches = Batches(numbered(count), TrainingSettings(batch_size=size, augment=()), 4, CPU)
    given_ = epoch(batches, seed)
    assert len(given_) == len(batches)
    labels = torch.cat([labels for _, labels in given_])
    assert len(set(labels.tolist())) == len(labels)
    left = count - len(labels)
    assert 0 <= left < max(2, size / 2)
    for images, at in given_:
        assert images.shape == (len(at), 1, 4, 4)
        assert torch.allclose(images[:, 0, 0, 0], at.float(), atol=1e-3)
        assert len(at) == size or (at is given_[-1][1] and (2 * len(at) >= size or len(given_) == 1))


@pytest.mark.parametrize(("count", "size"), [(5, 2), (9, 2), (21, 4)])
def test_no_step_has_a_single_sample_where_others_have_more(count, size):
    batches = Batches(numbered(count), TrainingSettings(batch_size=size, augment=()), 4, CPU)
    assert min(len(labels) for _, labels in epoch(batches)) > 1


def test_batches_repeat_by_generator_and_change_with_it():
    batches = Batches(parts(), replace(PLAIN, augment=("shift", "erase")), 8, CPU)
    first, second, other = epoch(batches), epoch(batches), epoch(batches, 1)
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])
    assert not all(torch.equal(a[1], b[1]) for a, b in zip(first, other, strict=True))


def test_images_are_prepared_as_for_a_deployed_network():
    data = parts()
    (images, labels), *_ = epoch(Batches(data, PLAIN, 8, CPU))
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))[:16]
    assert torch.equal(images, prepare(data.train.images[order], 8, data.mean, data.std))
    assert torch.equal(labels, data.train.labels[order])


def uneven(shape):
    """Data of 48 samples whose values rise along the last axis; labels are the numbers of the samples."""
    rising = torch.arange(shape[-1]).expand(48, *shape)
    images = rising.float() if shape[-2] == 1 else rising.to(torch.uint8)
    data = ImageSet(images.contiguous(), torch.arange(48), tuple(map(str, range(48))))
    return DataParts(data, data, data, data, mean=(0.0,), std=(1.0,))


def reversed_samples(batches, seed, number):
    """Return which samples an epoch reverses, in the order of their numbers."""
    mirrored = torch.zeros(48, dtype=torch.bool)
    for samples, at in batches.epoch(torch.Generator().manual_seed(seed), number=number):
        mirrored[at] = samples[:, 0, -1, 0] > samples[:, 0, -1, -1]
    return mirrored


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 1, 8)])
@pytest.mark.parametrize("more", [(), ("shift",), ("shift", "rotate")])
@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=5)
def test_alternating_flip_mirrors_every_sample_in_one_of_two_epochs(shape, more, seed):
    changes = TrainingSettings(batch_size=12, augment=("alternating-flip", *more))
    batches = Batches(uneven(shape), changes, 8, CPU, seed)
    epochs = torch.stack([reversed_samples(batches, seed + number, number) for number in range(4)])
    assert (epochs[:-1] ^ epochs[1:]).all()
    assert torch.equal(epochs[0], batches.first_mirrored)
    assert 6 <= int(epochs[0].sum()) <= 42


def test_each_seed_mirrors_another_half_first():
    data = uneven((1, 8, 8))
    halves = [Batches(data, PLAIN, 8, CPU, seed).first_mirrored for seed in range(3)]
    assert not any(torch.equal(one, two) for one, two in itertools.combinations(halves, 2))


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 9, 100])
def test_the_rate_stays_within_its_peak(schedule, steps):
    training = TrainingSettings(schedule=schedule, learning_rate=0.2)
    rates = [learning_rate(training, step, steps) for step in range(steps)]
    assert all(0 < rate <= 0.2 + 1e-12 for rate in rates)
    assert max(rates) == pytest.approx(0.2)
    if schedule == "constant":
        assert set(rates) == {0.2}


def test_the_cosine_rises_over_a_tenth_and_falls_to_nothing():
    training = TrainingSettings(schedule="cosine", learning_rate=0.2)
    rates = [learning_rate(training, step, 100) for step in range(101)]
    assert rates[:10] == pytest.approx([0.02 * (step + 1) for step in range(10)])
    assert rates[10] == pytest.approx(0.2)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert rates[55] == pytest.approx(0.1)
    assert rates[100] == pytest.approx(0.0, abs=1e-12)
    assert rates[25] == pytest.approx(0.1 * (1 + math.cos(math.pi / 6)))


def test_a_derived_seed_is_the_same_everywhere():
    assert derive_seed(0, "supernet", 3) == 21064596595716
    assert derive_seed(0, "a") != derive_seed(0, "b")
    assert derive_seed(0, "a", 1) != derive_seed(1, "a", 1)
    assert all(0 <= derive_seed(seed, "x") < 2**48 for seed in range(50))


def little():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_only_weights_of_two_dimensions_and_more_decay(name):
    net = little()
    training = TrainingSettings(optimizer=name, learning_rate=0.1, weight_decay=0.5)
    optimizer = make_optimizer(net, training)
    for parameter in net.parameters():
        parameter.data.fill_(1.0)
        parameter.grad = torch.zeros_like(parameter)
    update(optimizer, net.parameters(), rate=0.1, clip=0.0)
    for parameter in net.parameters():
        expected = 0.95 if parameter.ndim > 1 else 1.0
        assert torch.allclose(parameter.data, torch.tensor(expected))
        assert parameter.grad is None


def test_sgd_has_momentum_and_the_given_rate():
    weight = nn.Parameter(torch.zeros(1))
    holder = nn.ParameterList([weight])
    optimizer = make_optimizer(holder, TrainingSettings(optimizer="sgd", weight_decay=0.0))
    for rate in (0.5, 0.25):
        weight.grad = torch.ones(1)
        update(optimizer, [weight], rate, clip=0.0)
    assert float(weight.detach()) == pytest.approx(-(0.5 + 0.25 * 1.9))


@pytest.mark.parametrize(("clip", "norm"), [(0.0, 10.0), (2.0, 2.0), (20.0, 10.0)])
def test_gradients_are_clipped_together(clip, norm):
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    holder = nn.ParameterList([first, second])
    optimizer = make_optimizer(holder, TrainingSettings(optimizer="sgd", weight_decay=0.0))
    first.grad, second.grad = torch.tensor([6.0]), torch.tensor([8.0])
    update(optimizer, holder.parameters(), 1.0, clip)
    assert [float(first.detach()), float(second.detach())] == pytest.approx(
        [-0.6 * norm, -0.8 * norm], rel=1e-5
    )


def test_a_frozen_weight_is_left_out():
    net = little()
    net[0].weight.requires_grad_(False)
    held = {id(p) for group in make_optimizer(net, PLAIN).param_groups for p in group["params"]}
    assert held == {id(p) for p in net.parameters()} - {id(net[0].weight)}


@pytest.mark.parametrize("count", [1, 20, 64, 1000])
def test_the_recalibration_sample(count):
    data = parts().train
    first = recalibration_sample(data, count, seed=3)
    assert len(first) == min(count, len(data)) == len(set(first.tolist()))
    assert set(first.tolist()) <= set(range(len(data)))
    assert torch.equal(first, recalibration_sample(data, count, seed=3))
    assert count == 1 or not torch.equal(first, recalibration_sample(data, count, seed=4))
