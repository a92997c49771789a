"""The training of a dense teacher: batches, lookahead, whitened stem, and a stop in the middle."""

import math
from dataclasses import replace

import pytest
import torch
from small_runs import equal_states, parts

from edanas.core.preprocess import prepare
from edanas.core.progress import Silent
from edanas.core.tracing import trace
from edanas.core.types import Backbone, Task
from edanas.supernets.whitened_cnn import WhitenedCNN
from edanas.supernets.whitening import whiten
from edanas.training.schedule import TimeSlice
from edanas.training.teacher_training import (
    TeacherTraining,
    shift_and_mirror,
    teacher_settings,
)

SETTINGS = teacher_settings(3, 64, "fp32")


def training(folder, *, mirrors=False, data=None):
    torch.manual_seed(0)
    network = WhitenedCNN((4, 8, 8), resolutions=(8,)).build(Backbone.of({"resolution": 8}), parts().task)
    return TeacherTraining(
        network,
        data or parts(),
        SETTINGS,
        3,
        (folder / "teacher.pt", "teacher"),
        mirrors=mirrors,
        save_every=0.0,
    )


def test_the_default_network_has_the_published_cost_at_32_pixels():
    network = WhitenedCNN().build(Backbone.of({"resolution": 32}), Task(3, 10))
    stages, last = trace(network, 3)
    assert sum(each.macs for each in stages) + last.macs == pytest.approx(118e6, rel=0.005)


@pytest.mark.parametrize("side", [8, 9, 16, 23, 24, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_network_runs_at_every_side(side, channels):
    provider = WhitenedCNN((4, 4, 4), resolutions=(side,))
    network = provider.build(Backbone.of({"resolution": side}), Task(channels, 5))
    assert network(torch.zeros(2, channels, side, side)).shape == (2, 5)


def test_whitened_outputs_are_uncorrelated_and_of_equal_size():
    images = prepare(parts().train.images, 12, parts().mean, parts().std)
    stem = torch.nn.Conv2d(1, 8, 2)
    whiten(stem, images)
    outputs = stem(images).transpose(0, 1).flatten(1)[:4].double()
    covariance = outputs @ outputs.T / outputs.shape[1]
    assert torch.allclose(covariance, torch.diag(covariance.diag()), atol=1e-4)
    assert ((covariance.diag() > 0.9) & (covariance.diag() < 1.001)).all()
    assert torch.equal(stem.weight[:4], -stem.weight[4:])
    assert not stem.weight.requires_grad


@pytest.mark.parametrize("mirrors", [True, False])
def test_the_images_of_the_recipe_alternate_or_stay_as_they_are(mirrors, tmp_path):
    rising = torch.arange(12).to(torch.uint8).expand(64, 1, 12, 12)
    data = replace(parts(), train=replace(parts().train, images=rising))
    batches = training(tmp_path, mirrors=mirrors, data=data).batches
    mirrored = torch.zeros(2, 64, dtype=torch.bool)
    for number in range(2):
        order = torch.randperm(64, generator=torch.Generator().manual_seed(5))
        images = torch.cat(
            [each for each, _ in batches.epoch(torch.Generator().manual_seed(5), number=number)]
        )
        mirrored[number, order] = images[:, 0, 0, -1] < images[:, 0, 0, 0]
    assert (mirrored[0] ^ mirrored[1]).all() if mirrors else not mirrored.any()


def test_shifts_are_those_of_reflected_images():
    images = torch.rand(40, 3, 32, 32)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2), mode="reflect")
    moved = shift_and_mirror(images, torch.arange(40) % 2 == 0, torch.Generator().manual_seed(1))
    windows = [padded[:, :, y : y + 32, x : x + 32] for y in range(5) for x in range(5)]
    offsets = set()
    for number, image in enumerate(moved):
        image = image.flip(2) if number % 2 == 0 else image
        (offset,) = [at for at, window in enumerate(windows) if torch.equal(window[number], image)]
        offsets.add(offset)
    assert len(offsets) > 10


def test_a_training_that_is_cut_gives_the_same_weights(tmp_path):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = training(tmp_path / "whole", mirrors=True)
    assert whole.run(Silent())
    cut = training(tmp_path / "cut", mirrors=True)

    class Steps(TimeSlice):
        def is_over(self):
            return cut.step == 7

    assert not cut.run(Silent(), Steps())
    resumed = training(tmp_path / "cut", mirrors=True)
    assert resumed.run(Silent())
    assert equal_states(resumed.network, whole.network)


def test_the_weights_at_the_end_are_the_averaged_weights(tmp_path):
    whole = training(tmp_path)
    whole.run(Silent())
    averaged = whole.learned.state_dict()
    for name, tensor in whole.network.state_dict().items():
        assert not tensor.is_floating_point() or torch.equal(tensor, averaged[name])


def test_a_measured_speed_leaves_the_training_as_it_was(tmp_path):
    one, two = training(tmp_path / "a"), training(tmp_path / "b")
    one._time_trial_steps(lambda: 0.0)
    assert equal_states(one.trained, two.trained)
    assert math.isclose(one.optimizer.param_groups[1]["weight_decay"], two.settings.weight_decay / 64)
