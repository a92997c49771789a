"""Scores of selection schemes against a loop over samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.profiles import exit_columns, outcome


def one_by_one(profile: ExitProfile, scheme: SelectionScheme) -> tuple[list[int], list[int], int]:
    """Return columns, exits (N for the last) and the number of correct samples, sample by sample."""
    columns, exits, right = [], [], 0
    for sample in range(len(profile)):
        column, exit_ = len(profile.points), len(scheme.thresholds)
        for point, threshold in enumerate(scheme.thresholds):
            if threshold is None:
                continue
            at = profile.points.index(point)
            if profile.confidence[sample, at] >= np.float32(threshold):
                column, exit_ = at, point
                break
        columns.append(column)
        exits.append(exit_)
        right += bool(profile.correct[sample, column])
    return columns, exits, right


@st.composite
def scored_profiles(draw):
    exit_points = draw(st.integers(0, 4))
    points = tuple(sorted(draw(st.sets(st.integers(0, exit_points - 1))))) if exit_points else ()
    samples = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    # Tenths, so that confidences tie with one another and with thresholds, 0 and 1 included.
    confidence = (rng.integers(0, 11, (samples, len(points) + 1)) / 10).astype(np.float32)
    correct = rng.random((samples, len(points) + 1)) < 0.6
    choices = st.one_of(st.none(), st.integers(0, 10).map(lambda tenths: tenths / 10))
    scheme = tuple(draw(choices) if point in points else None for point in range(exit_points))
    return ExitProfile(points, confidence, correct), SelectionScheme(scheme)


@settings(max_examples=150)
@given(scored_profiles())
def test_scoring_equals_a_loop_over_samples(case):
    profile, scheme = case
    columns, exits, right = one_by_one(profile, scheme)
    assert exit_columns(profile, scheme).tolist() == columns
    scored = outcome(profile, scheme)
    assert scored.accuracy == pytest.approx(right / len(profile))
    assert scored.backbone_accuracy == pytest.approx(profile.correct[:, -1].sum() / len(profile))
    assert sum(scored.utilization) == pytest.approx(1.0)
    assert len(scored.utilization) == len(scored.exit_accuracy) == len(scheme.thresholds) + 1
    for exit_ in range(len(scheme.thresholds) + 1):
        there = [s for s in range(len(profile)) if exits[s] == exit_]
        assert scored.utilization[exit_] == pytest.approx(len(there) / len(profile))
        if there:
            correct = np.mean([profile.correct[s, columns[s]] for s in there])
            assert scored.exit_accuracy[exit_] == pytest.approx(correct)
        else:
            assert scored.exit_accuracy[exit_] is None


def test_a_removed_exit_does_not_fire_at_a_confidence_of_one():
    profile = ExitProfile((0,), np.ones((2, 2), np.float32), np.ones((2, 2), bool))
    assert exit_columns(profile, SelectionScheme((None,))).tolist() == [1, 1]
    assert exit_columns(profile, SelectionScheme((1.0,))).tolist() == [0, 0]


def test_schemes_that_do_not_fit_the_profile_are_refused():
    profile = ExitProfile((0, 2), np.zeros((2, 3), np.float32), np.ones((2, 3), bool))
    with pytest.raises(ValueError, match="exit at exit point 1"):
        exit_columns(profile, SelectionScheme((0.5, 0.5, None)))
    with pytest.raises(ValueError, match="2 thresholds"):
        exit_columns(profile, SelectionScheme((0.5, None)))
    with pytest.raises(ValueError, match="without samples"):
        outcome(ExitProfile((), np.zeros((0, 1), np.float32), np.zeros((0, 1), bool)), SelectionScheme(()))
