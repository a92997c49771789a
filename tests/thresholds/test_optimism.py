"""Intervals against the truth: synthetic networks, of which as many samples can be drawn as are needed."""

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


def test_intervals_hold_what_is_true_where_the_same_samples_made_the_choice(monkeypatch):
    monkeypatch.setattr("edanas.thresholds.optimism._REPEATS", 2)  # for speed
    rng = np.random.default_rng(5)
    others = drawn(50_000, rng)

    def chosen(profile):
        front = sampled_threshold_front(profile, COSTS, 2)
        return front.schemes[nearest_scheme(front, budget)]

    budgets = [Budget("max_macs", 250.0), Budget("min_accuracy", 0.9)]
    held, bias, promised = [], [], []
    for number in range(30):
        budget, profile = budgets[number % 2], drawn(40, rng)
        scheme = chosen(profile)
        found = estimate_expectation(profile, scheme, [COSTS], chosen, seed=number)
        there, cost = outcome(others, scheme), mean_cost(others, scheme)
        shares = [
            each.low <= share <= each.high
            for each, share in zip(found.shares, there.utilization, strict=True)
        ]
        accuracy = found.accuracy
        held.append(
            [
                accuracy.low <= there.accuracy <= accuracy.high,
                found.costs[0].low <= cost <= found.costs[0].high,
                np.mean(shares),
            ]
        )
        bias.append(accuracy.new - there.accuracy)
        promised.append(accuracy.here - there.accuracy)
    # Of 30 intervals of 95%, 27 or more hold with a probability of 0.94, and these samples are fixed.
    assert (np.mean(held, axis=0) >= 0.9).all()
    assert np.mean(promised) > 0.02
    assert abs(np.mean(bias)) < np.mean(promised) / 2


def test_figures_on_the_samples_are_exact_and_intervals_contain_the_guess():
    profile = drawn(80, np.random.default_rng(1))
    scheme = SelectionScheme((0.7, None))
    found = estimate_expectation(profile, scheme, [COSTS, Costs((1, 2, 3), (1, 1), 1)])
    known = outcome(profile, scheme)
    assert found.accuracy.here == found.accuracy.new == pytest.approx(known.accuracy)
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx(wilson(known.accuracy, 80))
    assert [share.here for share in found.shares] == pytest.approx(list(known.utilization))
    assert found.costs[0].here == pytest.approx(mean_cost(profile, scheme))
    assert found.shares[1].high == 0.0  # no exit stands there
    for each in (found.accuracy, *found.costs, *found.shares):
        assert each.low <= each.new <= each.high


def test_a_cost_that_cannot_vary_has_no_interval():
    profile = drawn(MIN_SAMPLES, np.random.default_rng(2))
    found = estimate_expectation(profile, SelectionScheme((None, None)), [COSTS])
    assert found.costs[0].low == found.costs[0].high == 470.0


def test_that_all_leave_at_one_exit_does_not_mean_that_all_others_will():
    profile = drawn(20, np.random.default_rng(4))
    profile.confidence[:, 0] = 0.9
    found = estimate_expectation(profile, SelectionScheme((0.5, None)), [COSTS])
    cheapest, dearest = 107.0, 477.0
    later = found.shares[2].high  # up to so many may go on to the last exit
    assert (found.shares[0].here, later) == (1.0, pytest.approx(wilson(0.0, 20)[1]))
    assert found.costs[0].low == found.costs[0].new == cheapest
    assert found.costs[0].high == pytest.approx(cheapest + later * (dearest - cheapest))


def test_too_few_samples():
    with pytest.raises(ValueError, match="9 samples; at least 10"):
        estimate_expectation(drawn(9, np.random.default_rng(3)), SelectionScheme((0.5, None)), [COSTS])
