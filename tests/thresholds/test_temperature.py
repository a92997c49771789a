import copy

import numpy as np
import pytest
import torch
from early_exit_nets import RESOLUTION, make_eenn
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.model.temperature import TEMPERATURES, apply_temperatures
from edanas.testing.setters import toy_calibration
from edanas.thresholds.setters import Calibrated, Static
from edanas.thresholds.temperature import fit_temperature, negative_log_likelihood


def images(count=16):
    return torch.rand(count, 1, RESOLUTION, RESOLUTION, generator=torch.Generator().manual_seed(1))


@settings(max_examples=40)
@given(st.integers(0, 2**16), st.integers(1, 30), st.integers(1, 5), st.sampled_from([0.1, 1.0, 30.0]))
def test_no_temperature_is_better_than_the_one_found(seed, samples, classes, scale):
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(samples, classes))).astype(np.float32)
    labels = rng.integers(0, classes, samples)
    found = fit_temperature(logits, labels)
    loss = negative_log_likelihood(logits / np.float64(found), labels)
    others = [negative_log_likelihood(logits / each, labels) for each in (1.0, *np.geomspace(0.01, 100, 200))]
    assert loss <= min(others) + 1e-5
    assert loss <= others[0]


def test_logits_of_a_known_temperature_are_brought_back():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(20_000, 5)) * 2
    chances = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) > rng.random((len(true), 1))).argmax(axis=1)
    assert fit_temperature((2.5 * true).astype(np.float32), labels) == pytest.approx(2.5, rel=0.03)


def test_labels_stay_and_confidences_are_those_of_scaled_logits():
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
def test_what_is_no_temperature_is_refused(wrong):
    with pytest.raises(ValueError, match="allowed: 3 numbers above 0"):
        apply_temperatures(make_eenn((0.5, 0.5)), wrong)


def test_calibrated_exits_are_likelier_and_thresholds_are_static_ones_on_them():
    given_ = toy_calibration((0.1, None, 0.2, 0.3), 120)
    choice = Calibrated(accuracy_drop=0.02).choose(given_)
    known = given_.answers()
    for exit_, temperature in enumerate(choice.temperatures):
        logits = known.logits[:, exit_].astype(np.float64)
        scaled = negative_log_likelihood(logits / temperature, known.labels)
        assert scaled <= negative_log_likelihood(logits, known.labels)
    profile = given_.tempered(choice.temperatures)
    assert np.array_equal(profile.correct, given_.profile.correct)
    even = type(given_)(**{**vars(given_), "profile": profile})
    assert choice.scheme == Static(accuracy_drop=0.02).choose(even).scheme
