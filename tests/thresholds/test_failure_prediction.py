"""EEFP against scikit-learn's ROC curve, and the adjustment of exits on samples of known difficulty."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from edanas.core.contracts import Answers
from edanas.core.costs import executed_macs
from edanas.core.errors import ConfigError
from edanas.core.types import ExitProfile
from edanas.exits.criteria import MaxProbability
from edanas.testing.setters import toy_calibration
from edanas.thresholds.failure_prediction import (
    FailurePrediction,
    failure_prediction,
    rescale,
    stop_is_right,
)
from edanas.thresholds.profiles import outcome
from edanas.thresholds.setters import Static
from edanas.thresholds.temperature import fit_temperature

COSTS = np.array([100.0, 1000.0])


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 999))
def test_the_figure_is_the_mean_area_under_the_roc_curve(samples, exits, seed):
    rng = np.random.default_rng(seed)
    correct = rng.random((samples, exits + 1)) < 0.6
    confidence = np.round(rng.random((samples, exits + 1)), 1).astype(np.float32)
    areas = []
    for at in range(exits):
        right = [row[at] or not any(row[at + 1 :]) for row in correct.tolist()]
        assert right == stop_is_right(correct)[:, at].tolist()
        if len(set(right)) == 2:
            areas.append(roc_auc_score(right, confidence[:, at]))
    figure = failure_prediction(ExitProfile(tuple(range(exits)), confidence, correct), range(exits))
    assert figure is None if not areas else figure == pytest.approx(np.mean(areas))


def confused_pairs(count, seed):
    """Return logits of two exits that confuse classes 0 and 1 alike; the first confuses 2 and 3, too."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    logits = rng.normal(size=(count, 2, 4))
    pair = labels // 2
    for exit_ in range(2):
        for member in range(2):
            logits[np.arange(count), exit_, 2 * pair + member] += 6
    late = pair == 1
    logits[~late, 1] = logits[~late, 0]
    logits[late, 1, labels[late]] += 6
    return Answers(logits.astype(np.float32), labels)


def profile_of(answers, change):
    """Return the exit profile with the largest probability as confidence."""
    logits = [torch.from_numpy(change(at, answers.logits[:, at])) for at in range(2)]
    confidence = torch.stack([MaxProbability()(each) for each in logits], dim=1).numpy()
    predictions = torch.stack([each.argmax(dim=1) for each in logits], dim=1).numpy()
    return ExitProfile((0,), confidence, predictions == answers.labels[:, None])


def test_an_adjustment_separates_samples_that_no_exit_gets_right_where_a_temperature_does_not():
    known, new = confused_pairs(400, 1), confused_pairs(2000, 2)
    (first,) = rescale(known, COSTS, penalty=0.01)
    temperature = fit_temperature(known.logits[:, 0], known.labels)

    def adjusted(at, logits):
        return logits * np.float32(first.factors) + np.float32(first.offsets) if at == 0 else logits

    figures = [
        failure_prediction(profile_of(new, change), (0,))
        for change in (lambda _, x: x, lambda _, x: x / np.float32(temperature), adjusted)
    ]
    assert abs(figures[1] - figures[0]) < 0.02
    assert figures[2] > max(figures[:2]) + 0.1
    accuracies = [profile_of(new, change).correct[:, 0].mean() for change in (lambda _, x: x, adjusted)]
    assert accuracies[1] > accuracies[0] - 0.02


def test_a_large_penalty_leaves_the_logits_alone():
    (first,) = rescale(confused_pairs(100, 1), COSTS, penalty=1e6)
    assert np.allclose(first.factors, 1, atol=1e-3)
    assert np.allclose(first.offsets, 0, atol=1e-3)


def test_the_setter_chooses_static_thresholds_for_the_adjusted_exits():
    calibration = toy_calibration((0.5, 0.5, None, None), 300, seed=4)
    choice = FailurePrediction(0.02).choose(calibration)
    assert len(choice.rescalings) == 2
    rescaled = calibration.rescaled(choice.rescalings)
    scored = outcome(rescaled, choice.scheme)
    assert scored.accuracy >= rescaled.correct[:, -1].mean() - 0.02
    plain = Static(0.02).choose(calibration).scheme
    spent = outcome(calibration.profile, plain)
    costs = [
        executed_macs(calibration.costs, *each)
        for each in ((choice.scheme, scored.utilization), (plain, spent.utilization))
    ]
    assert costs[0] < 1.1 * costs[1]


def test_a_wrong_penalty_is_named():
    with pytest.raises(ConfigError, match=r"final_thresholds\.penalty: found 0; allowed: a number > 0"):
        FailurePrediction(penalty=0)
