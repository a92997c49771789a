"""Intervals against the truth: synthetic networks, from which any number of samples can be drawn."""

import numpy as np
import pytest

from edanas.core.costs import Costs, executed_per_exit
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.numerics.intervals import wilson
from edanas.thresholds.budgets import Budget, nearest_scheme
from edanas.thresholds.optimism import MIN_SAMPLES, estimate_expectation
from edanas.thresholds.profiles import exit_columns, outcome
from edanas.thresholds.sampled_front import sampled_threshold_front

COSTS = Costs(stages=(100, 150, 200), heads=(7, 5), last=20)


def drawn(samples: int, rng: np.random.Generator) -> ExitProfile:
    evidence = np.array([1.0, 1.75, 2.5]) - 1.2 * rng.normal(size=(samples, 1))
    evidence = evidence + rng.normal(size=evidence.shape)
    confidence = np.tanh(np.abs(evidence + 0.5 * rng.normal(size=evidence.shape)))
    return ExitProfile((0, 1), confidence.astype(np.float32), evidence > 0)


def mean_cost(profile, scheme):
    return executed_per_exit(COSTS, scheme)[exit_columns(profile, scheme)].mean()


def test_intervals_contain_the_truth_after_a_choice_on_the_same_samples(monkeypatch):
    monkeypatch.setattr("edanas.thresholds.optimism._REPEATS", 2)  # for speed
    rng = np.random.default_rng(5)
    others = drawn(50_000, rng)

    def choose_scheme(profile):
        front = sampled_threshold_front(profile, COSTS, 2)
        return front.schemes[nearest_scheme(front, budget)]

    budgets = [Budget("max_macs", 250.0), Budget("min_accuracy", 0.9)]
    is_inside, bias, optimism = [], [], []
    for number in range(30):
        budget, profile = budgets[number % 2], drawn(40, rng)
        scheme = choose_scheme(profile)
        expectation = estimate_expectation(profile, scheme, [COSTS], choose_scheme, seed=number)
        true_outcome, cost = outcome(others, scheme), mean_cost(others, scheme)
        shares = [
            each.low <= share <= each.high
            for each, share in zip(expectation.shares, true_outcome.utilization, strict=True)
        ]
        accuracy = expectation.accuracy
        is_inside.append(
            [
                accuracy.low <= true_outcome.accuracy <= accuracy.high,
                expectation.costs[0].low <= cost <= expectation.costs[0].high,
                np.mean(shares),
            ]
        )
        bias.append(accuracy.new - true_outcome.accuracy)
        optimism.append(accuracy.here - true_outcome.accuracy)
    # Of 30 intervals of 95%, at least 27 contain the truth with a probability of 0.94; the seed is fixed.
    assert (np.mean(is_inside, axis=0) >= 0.9).all()
    assert np.mean(optimism) > 0.02
    assert abs(np.mean(bias)) < np.mean(optimism) / 2


def test_figures_on_the_samples_are_exact_and_inside_their_intervals():
    profile = drawn(80, np.random.default_rng(1))
    scheme = SelectionScheme((0.7, None))
    expectation = estimate_expectation(profile, scheme, [COSTS, Costs((1, 2, 3), (1, 1), 1)])
    scored = outcome(profile, scheme)
    assert expectation.accuracy.here == expectation.accuracy.new == pytest.approx(scored.accuracy)
    assert (expectation.accuracy.low, expectation.accuracy.high) == pytest.approx(wilson(scored.accuracy, 80))
    assert [share.here for share in expectation.shares] == pytest.approx(list(scored.utilization))
    assert expectation.costs[0].here == pytest.approx(mean_cost(profile, scheme))
    assert expectation.shares[1].high == 0.0  # no exit is placed there
    for each in (expectation.accuracy, *expectation.costs, *expectation.shares):
        assert each.low <= each.new <= each.high


def test_a_cost_that_cannot_vary_has_no_interval():
    profile = drawn(MIN_SAMPLES, np.random.default_rng(2))
    expectation = estimate_expectation(profile, SelectionScheme((None, None)), [COSTS])
    assert expectation.costs[0].low == expectation.costs[0].high == 470.0


def test_a_cost_has_an_interval_if_all_samples_exit_at_one_exit():
    profile = drawn(20, np.random.default_rng(4))
    profile.confidence[:, 0] = 0.9
    expectation = estimate_expectation(profile, SelectionScheme((0.5, None)), [COSTS])
    cheapest, dearest = 107.0, 477.0
    later = expectation.shares[2].high  # at most this share reaches the last exit
    assert (expectation.shares[0].here, later) == (1.0, pytest.approx(wilson(0.0, 20)[1]))
    assert expectation.costs[0].low == expectation.costs[0].new == cheapest
    assert expectation.costs[0].high == pytest.approx(cheapest + later * (dearest - cheapest))


def test_too_few_samples():
    with pytest.raises(ValueError, match="9 samples; at least 10"):
        estimate_expectation(drawn(9, np.random.default_rng(3)), SelectionScheme((0.5, None)), [COSTS])
