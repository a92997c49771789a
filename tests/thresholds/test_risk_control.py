"""Guaranteed limits of the loss against the last exit, in simulations of many calibrations."""

import numpy as np
import pytest

from edanas.core.costs import Costs, executed_macs
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.types import ExitProfile
from edanas.numerics.mean_bounds import least_samples, mean_bound, mean_is_below
from edanas.testing.setters import toy_calibration
from edanas.thresholds.profiles import exit_columns, outcome
from edanas.thresholds.risk_control import (
    Risk,
    accuracy_losses,
    brier_losses,
    safe_scheme,
    threshold_order,
)
from edanas.thresholds.risk_setter import RISK_NOTES, RiskControlled

COSTS = Costs(stages=(100, 150, 200, 250, 300), heads=(7, 5, 11, 3), last=20)
POINTS = (0, 1, 2, 3)
DRAWS = 500


def samples(count, rng, drift=0.0):
    """Return an exit profile, outputs and labels of two classes; later exits have more evidence.

    With a drift, the evidence of the early exits falls, and their confidence stays.
    """
    labels = rng.integers(0, 2, count)
    strength = np.array([0.6, 1.0, 1.4, 1.7, 2.0]) - drift * np.array([1, 1, 1, 1, 0])
    margin = 1.5 * (strength + rng.normal(size=(count, 1)) + 0.7 * rng.normal(size=(count, 5)))
    outputs = np.zeros((count, 5, 2), np.float32)
    outputs[np.arange(count), :, labels] = margin
    confidence = np.tanh(np.abs(margin) / 2).astype(np.float32)
    return ExitProfile(POINTS, confidence, margin > 0), outputs, labels


def losses_of(kind, drawn):
    profile, outputs, labels = drawn
    return accuracy_losses(profile) if kind == "accuracy" else brier_losses(outputs, labels)


def true_loss(scheme, profile, losses):
    return losses[np.arange(len(losses)), exit_columns(profile, scheme)].mean()


def drawn(population, count, rng):
    """Return a calibration of independent draws from a population, whose losses are then known exactly."""
    profile, outputs, labels = population
    rows = rng.integers(0, len(profile), count)
    return ExitProfile(POINTS, profile.confidence[rows], profile.correct[rows]), outputs[rows], labels[rows]


@pytest.mark.parametrize("kind", ["accuracy", "brier"])
def test_the_limit_is_kept_in_95_percent_of_500_calibrations(kind):
    rng = np.random.default_rng(7)
    population = samples(2_000, rng)
    losses, violations, costs = losses_of(kind, population), 0, []
    for _ in range(DRAWS):
        calibration = drawn(population, 400, rng)
        safe = safe_scheme(calibration[0], losses_of(kind, calibration), 4, Risk(0.05, 0.95))
        if safe.scheme is not None:
            violations += true_loss(safe.scheme, population[0], losses) > 0.05
            shares = outcome(population[0], safe.scheme).utilization
            costs.append(executed_macs(COSTS, safe.scheme, shares))
    assert violations <= 0.05 * DRAWS
    assert len(costs) > 0.95 * DRAWS
    assert np.mean(costs) < 0.7 * (sum(COSTS.stages) + sum(COSTS.heads) + COSTS.last)


def test_the_best_thresholds_on_the_samples_break_the_limit_in_many_calibrations():
    """The simulation tells a guarantee from a choice by the mean loss on the samples."""
    rng = np.random.default_rng(7)
    population = samples(2_000, rng)
    losses, violations = accuracy_losses(population[0]), 0
    for _ in range(40):
        profile, _, _ = drawn(population, 300, rng)
        order = threshold_order(profile, 4, "shared")
        own = accuracy_losses(profile)
        first = next(each for each in reversed(order) if true_loss(each, profile, own) <= 0.05)
        violations += true_loss(first, population[0], losses) > 0.05
    assert violations > 10


def test_the_mean_over_calibrations_is_within_the_limit_of_the_conformal_form():
    rng = np.random.default_rng(3)
    population = samples(2_000, rng)
    losses, mean = accuracy_losses(population[0]), []
    for _ in range(60):
        profile, _, _ = drawn(population, 300, rng)
        safe = safe_scheme(profile, accuracy_losses(profile), 4, Risk(0.05, 0.95, "conformal", "shared"))
        mean.append(true_loss(safe.scheme, population[0], losses))
    assert 0.01 < np.mean(mean) <= 0.05


def test_nothing_is_guaranteed_after_a_drift():
    rng = np.random.default_rng(5)
    before, after = samples(2_000, rng), samples(2_000, rng, drift=1.0)[0]
    losses, violations = accuracy_losses(after), 0
    for _ in range(40):
        profile, _, _ = drawn(before, 300, rng)
        scheme = safe_scheme(profile, accuracy_losses(profile), 4, Risk(0.05, 0.95)).scheme
        violations += scheme is not None and true_loss(scheme, after, losses) > 0.05
    assert violations > 20


def test_an_upper_bound_covers_the_mean_of_skewed_losses():
    rng = np.random.default_rng(0)
    misses = sum(mean_bound(rng.random(200) ** 9 - 0.05, 0.1) < 0.05 for _ in range(200))
    assert misses <= 20
    losses = rng.random((200, 1)) ** 9
    bound = mean_bound(losses[:, 0], 0.1)
    assert mean_is_below(losses, bound + 1e-6, 0.1)[0] and not mean_is_below(losses, bound - 1e-6, 0.1)[0]
    assert mean_bound(np.ones(50), 0.1) == 1.0


def test_the_first_number_of_samples_that_suffices_is_named():
    risk = Risk(0.02, 0.9)
    needed = risk.least_samples
    assert needed == 2 * least_samples(0.02, 0.1)
    confidence = np.full((needed, 2), 0.5, np.float32)
    profile = ExitProfile((0,), confidence, np.ones((needed, 2), dtype=bool))
    assert safe_scheme(profile, accuracy_losses(profile), 1, risk).scheme is not None
    fewer = ExitProfile((0,), confidence[2:], profile.correct[2:])
    assert safe_scheme(fewer, accuracy_losses(fewer), 1, risk).scheme is None
    with pytest.raises(
        CandidateError, match=r"found 1% with 95% confidence; .* 12 samples: .* needs at least"
    ):
        RiskControlled().choose(toy_calibration((0.5, None, None, None), 12))


def test_the_guarantee_is_recorded():
    calibration = toy_calibration((0.5, 0.5, None, None), 600)
    choice = RiskControlled("10%", "90%", "brier").choose(calibration)
    notes = choice.notes[RISK_NOTES]
    assert notes["bound"] < notes["max_drop"] == 0.1
    assert (notes["loss"], notes["confidence"], notes["samples"]) == ("brier", 0.9, 300)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_drop": "1"}, r"final_thresholds\.max_drop: found '1'; .*Did you mean '1%'"),
        ({"max_drop": "little"}, r"final_thresholds\.max_drop: found 'little'; allowed: more than 0"),
        ({"confidence": 95}, r"final_thresholds\.confidence: found '95'; .*Did you mean '95%'"),
        ({"loss": "brierr"}, r"final_thresholds\.loss: found 'brierr'.*brier"),
        ({"form": "upper"}, r"final_thresholds\.form: found 'upper'"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        RiskControlled(**options)
