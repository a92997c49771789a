"""Threshold setters against brute force over all thresholds."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.costs import executed_macs
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.types import SelectionScheme
from edanas.testing.setters import toy_calibration
from edanas.thresholds.profiles import outcome
from edanas.thresholds.setters import Budgeted, Grid, Static

SCHEMES = [(0.1, None, None, None), (None, 0.2, None, 0.4), (0.3, 0.1, 0.5, None)]


def figures(calibration, scheme):
    """Return (accuracy, executed MACs) on the calibration samples."""
    scored = outcome(calibration.profile, scheme)
    return scored.accuracy, executed_macs(calibration.costs, scheme, scored.utilization)


def every_scheme(calibration):
    """Yield the figures of all splits of the samples by the placed exits."""
    levels = []
    for column in calibration.profile.confidence[:, :-1].T:
        values = sorted({*map(float, column), 1.0})
        levels.append(values)
    for thresholds in itertools.product(*levels):
        chosen = dict(zip(calibration.scheme.placed, thresholds, strict=True))
        yield figures(calibration, SelectionScheme(tuple(chosen.get(at) for at in range(4))))


@settings(max_examples=25)
@given(
    st.sampled_from(SCHEMES),
    st.integers(2, 7),
    st.sampled_from([0, 2]),
    st.integers(0, 999),
    st.floats(110, 1100),
)
def test_a_budget_of_macs_is_met_by_the_most_accurate_scheme(scheme, samples, levels, seed, macs):
    calibration = toy_calibration(scheme, samples, levels, seed)
    fits = [(a, m) for a, m in every_scheme(calibration) if m <= macs * (1 + 1e-9)]
    if not fits:
        with pytest.raises(CandidateError, match=r"^max_macs: found .*; possible on these samples"):
            Budgeted(max_macs=macs).choose(calibration)
        return
    accuracy, cost = figures(calibration, Budgeted(max_macs=macs).choose(calibration).scheme)
    assert cost <= macs * (1 + 1e-9)
    assert accuracy == pytest.approx(max(a for a, _ in fits))
    assert cost == pytest.approx(min(m for a, m in fits if a >= accuracy - 1e-9))


@settings(max_examples=25)
@given(
    st.sampled_from(SCHEMES),
    st.integers(2, 7),
    st.sampled_from([0, 2]),
    st.integers(0, 999),
    st.floats(0.2, 1.0),
)
def test_an_accuracy_is_reached_by_the_cheapest_scheme(scheme, samples, levels, seed, floor):
    calibration = toy_calibration(scheme, samples, levels, seed)
    fits = [m for a, m in every_scheme(calibration) if a >= floor - 1e-9]
    if not fits:
        with pytest.raises(CandidateError, match=r"^min_accuracy: found .*; possible on these samples"):
            Budgeted(min_accuracy=floor).choose(calibration)
        return
    accuracy, cost = figures(calibration, Budgeted(min_accuracy=floor).choose(calibration).scheme)
    assert accuracy >= floor - 1e-9
    assert cost == pytest.approx(min(fits))


def test_a_budget_above_every_cost_is_met():
    calibration = toy_calibration(SCHEMES[1], 40)
    accuracy, _ = figures(calibration, Budgeted(max_macs="1G").choose(calibration).scheme)
    assert accuracy >= outcome(calibration.profile, calibration.scheme).backbone_accuracy


@pytest.mark.parametrize("drop", [0.0, 0.05, 0.3])
def test_static_loses_at_most_the_allowed_accuracy(drop):
    calibration = toy_calibration(SCHEMES[2], 80)
    backbone = outcome(calibration.profile, calibration.scheme).backbone_accuracy
    accuracy, cost = figures(calibration, Static(accuracy_drop=drop).choose(calibration).scheme)
    assert accuracy >= backbone - drop - 1e-9
    searched = replace(calibration, given_up=0.3)
    assert Static(accuracy_drop=drop).choose(searched) == Static(accuracy_drop=0.3).choose(calibration)
    careless = figures(calibration, Static(accuracy_drop=drop, caution=0).choose(calibration).scheme)
    assert careless[1] <= cost


def test_the_grid_keeps_the_searched_scheme_and_reads_no_samples():
    calibration = toy_calibration(SCHEMES[0], 5)
    empty = replace(calibration, profile=None, answers=None, tempered=None)
    assert Grid().choose(empty).scheme == calibration.scheme
    assert not Grid.resets


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Budgeted(max_macs="0"), "final_thresholds.max_macs: found '0'; allowed: multiply-adds"),
        (lambda: Budgeted(max_macs="5m"), "final_thresholds.max_macs: .* Did you mean '5M'"),
        (lambda: Budgeted(min_accuracy="110%"), "final_thresholds.min_accuracy: found '110%'"),
        (lambda: Budgeted(min_accuracy=90), "Did you mean '90%'"),
        (lambda: Budgeted(1e6, 0.9), "'budget' with max_macs and min_accuracy; allowed: one of"),
        (Budgeted, "'budget' with no option; allowed: one of max_macs, min_accuracy"),
        (lambda: Static(accuracy_drop=1.5), "final_thresholds.accuracy_drop: found 1.5; allowed: 0 to 1"),
        (lambda: Static(caution=-1), "final_thresholds.caution: found -1; allowed: 0 samples or more"),
    ],
)
def test_wrong_options_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_budget_is_met_on_more_samples_than_a_front_is_searched_on():
    rng = np.random.default_rng(0)
    calibration = toy_calibration(SCHEMES[1], 10_500, seed=int(rng.integers(99)))
    accuracy, cost = figures(calibration, Budgeted(max_macs=600).choose(calibration).scheme)
    assert cost <= 600
    assert accuracy > figures(calibration, SelectionScheme((None, 0.0, None, 0.0)))[0]
