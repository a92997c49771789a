import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.thresholds.quantile_thresholds import (
    exit_odds,
    mean_cost,
    thresholds_at_odds,
    thresholds_within_budget,
)


def exit_shares(confidence, scheme, points):
    """Return, sample by sample, the share of samples reaching each exit that exit there."""
    reach, shares = list(range(len(confidence))), []
    for column, point in enumerate(points):
        stay = [s for s in reach if confidence[s, column] < np.float32(scheme.thresholds[point])]
        shares.append(1 - len(stay) / len(reach) if reach else float("nan"))
        reach = stay
    return shares


@st.composite
def cases(draw):
    exits, count = draw(st.integers(1, 4)), draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    confidence = rng.permuted(np.linspace(0.01, 0.99, count * exits, dtype=np.float32)).reshape(count, exits)
    costs = np.cumsum(rng.integers(1, 100, exits + 1)).astype(float)
    odds = rng.normal(size=exits) * draw(st.sampled_from([0.1, 2.0, 10.0]))
    budget = costs[0] + draw(st.floats(0, 1.1)) * (costs[-1] - costs[0])
    return confidence, odds, tuple(range(1, 1 + exits)), costs, budget


@settings(max_examples=150)
@given(cases())
def test_the_budget_is_met_within_one_sample(case):
    confidence, odds, points, costs, budget = case
    scheme = thresholds_within_budget(confidence, odds, points, costs, budget, 6)
    cost = mean_cost(confidence, scheme, points, costs)
    assert scheme.placed == points
    assert cost <= budget * (1 + 1e-6)
    assert cost > min(budget, costs[-1]) - (costs[-1] - costs[0]) / len(confidence) - 1e-6


@settings(max_examples=50)
@given(cases(), st.integers(1, 3))
def test_ties_exit_together_within_the_budget(case, levels):
    confidence, odds, points, costs, budget = case
    tied = (np.round(confidence * levels) / levels).astype(np.float32)
    scheme = thresholds_within_budget(tied, odds, points, costs, budget, 6)
    assert mean_cost(tied, scheme, points, costs) <= budget * (1 + 1e-6)


def test_odds_keep_their_ratios():
    rng = np.random.default_rng(0)
    confidence, points = rng.random((40_000, 3), dtype=np.float32), (0, 1, 3)
    odds = np.log([0.2, 1.0, 3.0])
    costs = np.array([10.0, 20.0, 40.0, 50.0])
    for budget in (15.0, 25.0, 45.0):
        scheme = thresholds_within_budget(confidence, odds, points, costs, budget, 4)
        shares = np.array(exit_shares(confidence, scheme, points))
        odds_reached = np.log(shares / (1 - shares))
        assert np.diff(odds_reached) == pytest.approx(np.diff(odds), abs=0.02)
        assert mean_cost(confidence, scheme, points, costs) == pytest.approx(budget, abs=0.01)


def test_the_cost_is_that_of_each_sample():
    rng = np.random.default_rng(1)
    confidence, points = rng.random((50, 2), dtype=np.float32), (0, 2)
    costs = np.array([1.0, 5.0, 9.0])
    scheme = thresholds_at_odds(confidence, np.array([0.3, -0.5]), points, 3)
    each = [
        next((c for c, sure, p in zip(costs, row, points, strict=False) if sure >= scheme.thresholds[p]), 9.0)
        for row in confidence
    ]
    assert mean_cost(confidence, scheme, points, costs) == pytest.approx(np.mean(each))


def test_odds_are_finite_if_all_samples_exit_or_none():
    odds = exit_odds([0.0, 0.5, 0.5, 0.0], (0, 1, 2), 10)
    # (k + 1/2) / (n - k + 1/2) by hand: none of 10, 5 of 10, all of 5.
    assert np.exp(odds) == pytest.approx([0.5 / 10.5, 1.0, 5.5 / 0.5])


def test_extreme_odds_let_all_samples_exit_or_none():
    confidence = np.array([[0.0], [0.3], [1.0]], dtype=np.float32)
    for odds, left in itertools.product([-50.0], [1]):
        scheme = thresholds_at_odds(confidence, np.array([odds]), (0,), 1)
        # A confidence of exactly 1 exits at any threshold.
        assert (confidence[:, 0] >= scheme.thresholds[0]).sum() == left
    scheme = thresholds_at_odds(confidence, np.array([50.0]), (0,), 1)
    assert (confidence[:, 0] >= scheme.thresholds[0]).all()
