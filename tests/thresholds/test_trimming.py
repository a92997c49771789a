"""Removal of unused exits from schemes; the trimmed network makes the decisions of the whole one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edanas.core.costs import Costs, backbone_macs, cut_costs, executed_macs
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.profiles import outcome
from edanas.thresholds.trimming import cut_profile, move_shares, trim_on_samples, trim_scheme, uncut_scheme

POINTS = 4
COSTS = Costs(stages=(100, 200, 300, 400, 500), heads=(10, 20, 30, 40), last=50)


@st.composite
def schemes_on_profiles(draw):
    """A scheme and a profile with few levels of confidence, so that exits are often unused."""
    samples = draw(st.integers(1, 12))
    levels = st.lists(st.integers(0, 3), min_size=samples * 5, max_size=samples * 5)
    confidence = np.array(draw(levels), dtype=np.float32).reshape(samples, 5) / 4
    correct = np.array(draw(levels)).reshape(samples, 5) > 1
    thresholds = draw(st.tuples(*[st.sampled_from([None, 0.0, 0.25, 0.75, 1.0])] * POINTS))
    return SelectionScheme(thresholds), ExitProfile(tuple(range(POINTS)), confidence, correct)


@given(schemes_on_profiles())
def test_nothing_unused_is_left_and_no_decision_changes(case):
    scheme, profile = case
    before = outcome(profile, scheme)
    trimmed, end = trim_scheme(scheme, before.utilization)
    cut, costs = (profile, COSTS) if end == POINTS else (cut_profile(profile, end), cut_costs(COSTS, end + 1))
    after = outcome(cut, trimmed)
    assert after.accuracy == before.accuracy
    assert all(after.utilization[point] > 0 for point in (*trimmed.placed, POINTS))
    assert after.utilization == pytest.approx(move_shares(before.utilization, trimmed))
    executed = executed_macs(costs, trimmed, after.utilization)
    assert executed <= executed_macs(COSTS, scheme, before.utilization) + 1e-6
    assert executed == pytest.approx(
        executed_macs(
            COSTS, uncut_scheme(trimmed, end), outcome(profile, uncut_scheme(trimmed, end)).utilization
        )
    )
    assert backbone_macs(costs) <= backbone_macs(COSTS)


@given(schemes_on_profiles(), st.floats(0.0, 0.9))
def test_repeated_trimming_leaves_enough_samples_at_every_exit(case, share):
    scheme, profile = case
    for _ in range(POINTS + 2):
        trimmed, end = trim_on_samples(profile, scheme, share)
        if trimmed == scheme:
            break
        scheme, profile = trimmed, profile if end == POINTS else cut_profile(profile, end)
    assert trimmed == scheme
    if scheme.placed:
        utilization = outcome(profile, scheme).utilization
        assert min(utilization[point] for point in (*scheme.placed, POINTS)) >= share


@pytest.mark.parametrize(
    ("thresholds", "utilization", "share", "expected", "end"),
    [
        ((0.1, 0.2, None), (0.5, 0.5, 0.0, 0.0), 0.0, (0.1, None, None), 1),
        ((0.1, 0.2, None), (1.0, 0.0, 0.0, 0.0), 0.0, (None, None, None), 0),
        ((0.1, 1.0, None), (0.5, 0.0, 0.0, 0.5), 0.0, (0.1, None, None), 3),
        ((0.1, 0.2, 0.3), (0.996, 0.0, 0.002, 0.002), 0.005, (None, None, None), 0),
        ((0.1, 0.2, 0.3), (0.99, 0.004, 0.003, 0.003), 0.005, (0.1, None, None), 2),
        ((0.1, 0.2, None), (0.995, 0.0, 0.0, 0.005), 0.005, (0.1, None, None), 3),
        ((None, None, None), (0.0, 0.0, 0.0, 1.0), 0.005, (None, None, None), 3),
    ],
)
def test_the_end_is_the_first_exit_with_too_few_samples_behind_it(
    thresholds, utilization, share, expected, end
):
    assert trim_scheme(SelectionScheme(thresholds), utilization, share) == (SelectionScheme(expected), end)


def test_exits_that_later_exits_read_stay():
    confidence = np.float32([[0.9, 0.1, 0.9, 0.5], [0.1, 0.1, 0.9, 0.5]])
    profile = ExitProfile((0, 1, 2), confidence, confidence > 0)
    scheme = SelectionScheme((0.5, 0.5, 0.5))
    assert trim_on_samples(profile, scheme) == (SelectionScheme((0.5, None, None)), 2)
    assert trim_on_samples(profile, scheme, removable=False) == (SelectionScheme((0.5, 0.5, None)), 2)


def test_a_profile_without_the_end_is_refused():
    profile = ExitProfile((0,), np.zeros((1, 2), np.float32), np.zeros((1, 2), bool))
    with pytest.raises(ValueError, match="ends at exit point 1; the profile has"):
        cut_profile(profile, 1)
