"""EERO against a general solver, and its budget on calibration samples and on new samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from edanas.core.costs import executed_macs
from edanas.core.errors import CandidateError, ConfigError
from edanas.testing.setters import toy_calibration
from edanas.thresholds.profiles import outcome
from edanas.thresholds.reject_options import Eero, exponential_shares

SCHEME = (0.1, 0.2, None, 0.4)


@settings(max_examples=20)
@given(st.integers(2, 6), st.integers(0, 999), st.floats(0.02, 1.0), st.floats(0.05, 1.2))
def test_shares_solve_the_problem_of_the_paper(exits, seed, beta, place):
    rng = np.random.default_rng(seed)
    errors, costs = rng.random(exits), rng.uniform(0.1, 1, exits).cumsum()
    budget = costs[0] + place * (costs[-1] - costs[0])
    prior = 1 / costs / (1 / costs).sum()

    def objective(shares):
        shares = np.maximum(shares, 1e-12)
        return shares @ errors + beta * (shares * np.log(shares / prior)).sum()

    shares = exponential_shares(errors, costs, budget, beta)
    assert shares.sum() == pytest.approx(1)
    assert shares @ costs <= budget * (1 + 1e-9)
    solved = minimize(
        objective,
        np.eye(exits)[0] * 0.9 + 0.1 / exits,
        bounds=[(0, 1)] * exits,
        constraints=[
            {"type": "eq", "fun": lambda shares: shares.sum() - 1},
            {"type": "ineq", "fun": lambda shares: budget - shares @ costs},
        ],
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert objective(shares) <= solved.fun + 1e-6


@settings(max_examples=25)
@given(st.integers(2, 80), st.sampled_from([0, 2]), st.integers(0, 999), st.floats(108, 1500))
def test_the_budget_is_kept_on_the_calibration_samples(samples, levels, seed, macs):
    calibration = toy_calibration(SCHEME, samples, levels, seed)
    scheme = Eero(macs).choose(calibration).scheme
    shares = outcome(calibration.profile, scheme).utilization
    assert executed_macs(calibration.costs, scheme, shares) <= macs * (1 + 1e-9)


def test_the_budget_is_kept_and_used_on_new_samples():
    new = toy_calibration(SCHEME, 20_000, seed=1)
    for macs in (200, 400, 700):
        spent = []
        for seed in range(2, 12):
            scheme = Eero(macs).choose(toy_calibration(SCHEME, 500, seed=seed)).scheme
            spent.append(executed_macs(new.costs, scheme, outcome(new.profile, scheme).utilization))
        assert 0.5 * macs < np.mean(spent) <= macs


def test_wrong_budgets_are_named():
    with pytest.raises(ConfigError, match="found 'eero' without max_macs"):
        Eero()
    with pytest.raises(ConfigError, match=r"final_thresholds\.beta: found -1; allowed: a number > 0"):
        Eero("5M", beta=-1)
    with pytest.raises(CandidateError, match=r"^max_macs: found 50 MACs; possible .* to 1.035k MACs"):
        Eero(50).choose(toy_calibration(SCHEME, 40))
