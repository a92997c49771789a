"""What each threshold setter promises, against brute force over all thresholds."""

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
    """(accuracy, executed MACs) on the calibration samples."""
    found = outcome(calibration.profile, scheme)
    return found.accuracy, executed_macs(calibration.costs, scheme, found.utilization)


def every_scheme(calibration):
    """The figures of all ways to tell the samples apart with the exits that stand."""
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
    known = toy_calibration(scheme, samples, levels, seed)
    fits = [(a, m) for a, m in every_scheme(known) if m <= macs * (1 + 1e-9)]
    if not fits:
        with pytest.raises(CandidateError, match=r"^max_macs: found .*; possible on these samples"):
            Budgeted(max_macs=macs).choose(known)
        return
    accuracy, cost = figures(known, Budgeted(max_macs=macs).choose(known).scheme)
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
    known = toy_calibration(scheme, samples, levels, seed)
    fits = [m for a, m in every_scheme(known) if a >= floor - 1e-9]
    if not fits:
        with pytest.raises(CandidateError, match=r"^min_accuracy: found .*; possible on these samples"):
            Budgeted(min_accuracy=floor).choose(known)
        return
    accuracy, cost = figures(known, Budgeted(min_accuracy=floor).choose(known).scheme)
    assert accuracy >= floor - 1e-9
    assert cost == pytest.approx(min(fits))


def test_more_than_enough_is_enough():
    known = toy_calibration(SCHEMES[1], 40)
    accuracy, _ = figures(known, Budgeted(max_macs="1G").choose(known).scheme)
    assert accuracy >= outcome(known.profile, known.scheme).backbone_accuracy


@pytest.mark.parametrize("drop", [0.0, 0.05, 0.3])
def test_static_keeps_the_last_exits_accuracy_less_what_may_be_given_up(drop):
    known = toy_calibration(SCHEMES[2], 80)
    backbone = outcome(known.profile, known.scheme).backbone_accuracy
    accuracy, cost = figures(known, Static(accuracy_drop=drop).choose(known).scheme)
    assert accuracy >= backbone - drop - 1e-9
    searched = replace(known, given_up=0.3)
    assert Static(accuracy_drop=drop).choose(searched) == Static(accuracy_drop=0.3).choose(known)
    careless = figures(known, Static(accuracy_drop=drop, caution=0).choose(known).scheme)
    assert careless[1] <= cost


def test_the_grid_keeps_what_was_searched_and_looks_at_nothing():
    known = toy_calibration(SCHEMES[0], 5)
    unseen = replace(known, profile=None, answers=None, tempered=None)
    assert Grid().choose(unseen).scheme == known.scheme
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


def test_profiles_of_more_samples_than_a_front_is_searched_on_keep_the_promise():
    rng = np.random.default_rng(0)
    known = toy_calibration(SCHEMES[1], 10_500, seed=int(rng.integers(99)))
    accuracy, cost = figures(known, Budgeted(max_macs=600).choose(known).scheme)
    assert cost <= 600
    assert accuracy > figures(known, SelectionScheme((None, 0.0, None, 0.0)))[0]
