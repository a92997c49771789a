"""The scan and the repair of NACHOS against all thresholds of the same grid."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.costs import executed_macs
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.types import SelectionScheme
from edanas.testing.setters import toy_calibration
from edanas.thresholds.nachos import NachosThresholds
from edanas.thresholds.profiles import outcome

SCHEME = (0.1, None, None, 0.4)


def figures(calibration, scheme):
    scored = outcome(calibration.profile, scheme)
    return scored.accuracy, executed_macs(calibration.costs, scheme, scored.utilization)


def test_without_constraints_the_most_accurate_common_threshold_is_chosen():
    calibration = toy_calibration(SCHEME, 300, seed=3)
    levels = [0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8]
    every = [SelectionScheme((max(each, 0.7), None, None, each)) for each in levels]
    chosen = NachosThresholds().choose(calibration).scheme
    assert figures(calibration, chosen)[0] == max(figures(calibration, each)[0] for each in every)


@settings(max_examples=25)
@given(st.integers(20, 120), st.integers(0, 99), st.floats(120, 900), st.floats(0.3, 0.9))
def test_both_constraints_hold_or_no_threshold_of_the_repair_meets_them(samples, seed, macs, accuracy):
    calibration = toy_calibration(SCHEME, samples, seed=seed)
    try:
        chosen = NachosThresholds(macs, accuracy).choose(calibration).scheme
    except CandidateError as error:
        assert "after the repair; required: at most" in str(error)
        lowest = [SelectionScheme((a, None, None, b)) for a, b in itertools.product((0.0, 0.7), (0.0, 0.8))]
        assert not all(
            figures(calibration, each)[1] <= macs and figures(calibration, each)[0] >= accuracy
            for each in lowest
        )
        return
    right, spent = figures(calibration, chosen)
    assert right >= accuracy and spent <= macs


def test_wrong_options_are_named():
    with pytest.raises(ConfigError, match=r"final_thresholds\.min_accuracy: found '65'.*65%"):
        NachosThresholds("5M", "65")
    with pytest.raises(ConfigError, match=r"final_thresholds\.max_macs: found '5m'.*5M"):
        NachosThresholds("5m")
