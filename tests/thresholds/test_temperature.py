import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.testing.setters import toy_calibration
from edanas.thresholds.setters import Calibrated, Static
from edanas.thresholds.temperature import fit_temperature, negative_log_likelihood


@settings(max_examples=40)
@given(st.integers(0, 2**16), st.integers(1, 30), st.integers(1, 5), st.sampled_from([0.1, 1.0, 30.0]))
def test_no_other_temperature_has_a_higher_likelihood(seed, samples, classes, scale):
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(samples, classes))).astype(np.float32)
    labels = rng.integers(0, classes, samples)
    temperature = fit_temperature(logits, labels)
    loss = negative_log_likelihood(logits / np.float64(temperature), labels)
    others = [negative_log_likelihood(logits / each, labels) for each in (1.0, *np.geomspace(0.01, 100, 200))]
    assert loss <= min(others) + 1e-5
    assert loss <= others[0]


def test_a_known_temperature_is_recovered():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(20_000, 5)) * 2
    chances = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) > rng.random((len(true), 1))).argmax(axis=1)
    assert fit_temperature((2.5 * true).astype(np.float32), labels) == pytest.approx(2.5, rel=0.03)


def test_calibrated_sets_static_thresholds_on_tempered_exits():
    calibration = toy_calibration((0.1, None, 0.2, 0.3), 120)
    choice = Calibrated(accuracy_drop=0.02).choose(calibration)
    answers = calibration.answers()
    for exit_, temperature in enumerate(choice.temperatures):
        logits = answers.logits[:, exit_].astype(np.float64)
        scaled = negative_log_likelihood(logits / temperature, answers.labels)
        assert scaled <= negative_log_likelihood(logits, answers.labels)
    profile = calibration.tempered(choice.temperatures)
    assert np.array_equal(profile.correct, calibration.profile.correct)
    tempered = type(calibration)(**{**vars(calibration), "profile": profile})
    assert choice.scheme == Static(accuracy_drop=0.02).choose(tempered).scheme
