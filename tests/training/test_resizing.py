"""Progressive resizing: sides over a training, resuming, the plan for a time limit, and errors."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from series_networks import series_parts
from small_runs import THRESHOLDS, equal_states
from supernet_trainings import SETTINGS, STEPS, Steps, fresh, trainer
from torch import nn

from edanas.core.config import resolve
from edanas.core.contracts import ExitPart
from edanas.core.errors import ConfigError
from edanas.core.progress import Silent
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone
from edanas.run.sample_check import check_samples
from edanas.testing.toy_networks import ToyProvider
from edanas.training.resizing import END, GROWTHS, Resizing, resizing_for

PROVIDER = ToyProvider((12, 16))
SPACE = SearchSpace(PROVIDER.variables(), THRESHOLDS, PROVIDER.exit_points)
GROWING = replace(SETTINGS, epochs=6, initial_side=0.5)
SIDES = [8, 8, 12, 12, 12, 12] + [16] * 6
"""Sides of the largest backbone in 12 steps: 0.5, 0.67 and 0.83 of 16 pixels, in multiples of 4."""

resizings = st.builds(Resizing, st.floats(0.01, 0.99), st.integers(1, 32))
progress = st.floats(0, 1, exclude_max=True)


def growing(path, settings=GROWING):
    return trainer(path, fresh(PROVIDER), settings, over=SPACE)


@given(resizings, st.integers(4, 300), st.lists(progress, min_size=2).map(sorted))
def test_sides_grow_in_multiples_of_the_stride_to_the_full_side(resizing, full, moments):
    sides = [resizing.side(full, done) for done in moments]
    assert all(one <= two for one, two in itertools.pairwise(sides))
    assert len(set(sides)) <= GROWTHS + 1
    assert all(side == full or (0 < side < full and side % resizing.stride == 0) for side in sides)
    assert all(side == full for side, done in zip(sides, moments, strict=True) if done >= END)


@given(resizings, progress)
def test_the_moments_of_a_plan_stand_for_all_the_rest_of_the_training(resizing, done):
    moments = resizing.moments(done)
    assert moments[0][0] == done
    assert sum(share for _, share in moments) == pytest.approx(1 - done)
    for start, share in moments:
        assert resizing.side(4096, start + 1e-9) == resizing.side(4096, start + 0.999 * share)


@pytest.mark.parametrize("changes", [{}, {"backbones": "single"}, {"shrinking": True, "ema": 0.0}])
def test_images_grow_until_the_middle_of_the_training(changes, tmp_path, monkeypatch):
    training = growing(tmp_path / "supernet.pt", replace(GROWING, **changes))
    ran, logits = [], training.network.logits

    def watched(backbone, images, *phase):
        ran.append((training.step, int(backbone["resolution"]), images.shape[2:]))
        return logits(backbone, images, *phase)

    monkeypatch.setattr(training.network, "logits", watched)
    training.run(Silent())
    assert {step for step, *_ in ran} == set(range(6 * STEPS))
    for step, full, shape in ran:
        assert shape == (SIDES[step] if full == 16 else min(full, max(8, SIDES[step] - 4)),) * 2


def test_a_training_that_is_cut_goes_on_to_the_same_weights(tmp_path):
    whole, full = growing(tmp_path / "whole.pt"), growing(tmp_path / "full.pt", replace(SETTINGS, epochs=6))
    assert whole.run(Silent())
    assert full.run(Silent())
    for steps in (3, 2, 99):
        cut = growing(tmp_path / "cut.pt")
        cut.run(Silent(), Steps(steps))
    assert equal_states(cut.network, whole.network)
    assert not equal_states(cut.network, full.network)


@pytest.mark.parametrize("before", [0, 5])
def test_a_plan_counts_the_steps_at_each_remaining_side(before, tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("time.monotonic", lambda: clock.now)

    def timed():
        training = growing(tmp_path / "supernet.pt", replace(GROWING, epochs=200))
        logits = training.network.logits

        def watched(backbone, images, *phase):
            clock.now += images.shape[2] ** 2 / 100 if backbone == training.largest else 0.0
            return logits(backbone, images, *phase)

        monkeypatch.setattr(training.network, "logits", watched)
        return training

    if before:
        timed().run(Silent(), Steps(before))
    planned = timed()
    planned.resume()
    state = {name: value.clone() for name, value in planned.network.state_dict().items()}
    averages = [each.clone() for each in planned.average.state()]
    planned.fit(60.0)
    assert planned.step == before
    assert all(torch.equal(value, state[name]) for name, value in planned.network.state_dict().items())
    assert all(map(torch.equal, planned.average.state(), averages))
    planned.run(Silent())
    assert planned.seconds == pytest.approx(60.0, rel=0.05)


def parts_of(*stages):
    return lambda _: [ExitPart(stages, nn.Flatten())]


BACKBONES = [Backbone.of({"resolution": 16})]


def test_the_stride_is_that_of_all_stages():
    stages = [nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), nn.ReLU()]
    for side in range(8, 40):
        images = torch.zeros(1, 1, side, side)
        backbones = [Backbone.of({"resolution": side})]
        assert resizing_for(0.4, parts_of(*stages), backbones, images).stride == 4


@pytest.mark.parametrize(
    ("first", "stage", "message"),
    [
        (
            0.5,
            nn.Conv2d(1, 2, 3, stride=16),
            "found 0.5, which leaves the side at 16 pixels, .* 16; allowed: 1$",
        ),
        (
            0.9,
            nn.Conv2d(1, 2, 3, stride=4, padding=1),
            "found 0.9, .* 4; allowed: 1, or a smaller share",
        ),
        (
            0.5,
            nn.Sequential(nn.Flatten(), nn.Linear(256, 2)),
            "found 0.5, but .* run on images of 8 pixels .*mat1",
        ),
    ],
)
def test_a_supernet_that_takes_no_smaller_images_is_one_clear_error(first, stage, message):
    with pytest.raises(ConfigError, match=rf"training\.initial_side: {message}"):
        resizing_for(first, parts_of(stage), BACKBONES, torch.zeros(1, 1, 16, 16))


def test_series_have_one_length():
    settings = resolve([("test", {"training.initial_side": 0.5})])
    with pytest.raises(
        ConfigError, match=r"training\.initial_side: found 0\.5, but the data has series; .* 1"
    ):
        check_samples(None, settings, SimpleNamespace(series=True, masked=True), series_parts())
