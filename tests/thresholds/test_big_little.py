"""The threshold of big/little networks: brute force, and the bound on the rate of differences on a stream."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.costs import executed_macs
from edanas.core.errors import ConfigError
from edanas.core.types import SelectionScheme
from edanas.testing.setters import toy_calibration
from edanas.thresholds.agreement import AGREE, AgreementHolder
from edanas.thresholds.big_little import BigLittle
from edanas.thresholds.profiles import outcome

SCHEME = SelectionScheme((0.5, None, 0.5))


@settings(max_examples=30)
@given(
    st.sampled_from([(0.1, None, None, None), (0.3, 0.1, None, 0.5)]),
    st.integers(3, 30),
    st.sampled_from([0, 3]),
    st.integers(0, 99),
    st.sampled_from([0.0, 0.1, 0.4]),
)
def test_the_static_threshold_is_the_cheapest_of_all(searched, samples, levels, seed, drop):
    calibration = toy_calibration(searched, samples, levels, seed)
    required = outcome(calibration.profile, calibration.scheme).backbone_accuracy - drop
    figures = {}
    for threshold in (*np.unique(calibration.profile.confidence[:, :-1]), np.float32(1.0)):
        scheme = SelectionScheme(tuple(t if t is None else float(threshold) for t in searched))
        scored = outcome(calibration.profile, scheme)
        if scored.accuracy >= required - 1e-9:
            figures[float(threshold)] = executed_macs(calibration.costs, scheme, scored.utilization)
    chosen = BigLittle(accuracy_drop=drop).choose(calibration).scheme
    threshold = {each for each in chosen.thresholds if each is not None}
    assert len(threshold) == 1
    if figures:
        assert figures[threshold.pop()] == pytest.approx(min(figures.values()))


@settings(max_examples=30)
@given(st.integers(0, 999), st.floats(0.0, 0.4), st.sampled_from([0.02, 0.1, 0.5]), st.integers(1, 7))
def test_the_rate_of_differences_stays_at_the_target_while_the_threshold_can_move(seed, target, step, period):
    """Early answers differ more often at low confidences, and more often as the stream goes on."""
    rng = np.random.default_rng(seed)
    holder = AgreementHolder(SCHEME, 0.5, target, period, step)
    errors, inside = [], True
    for position in range(400 * period):
        if not holder.due(1):
            continue
        confidence = rng.uniform()
        early = confidence >= holder.scheme.thresholds[0]
        differs = early and rng.uniform() < (1 - confidence) * (0.5 + position / (400 * period))
        errors.append(differs)
        holder.note([differs])
        inside &= -step < holder.threshold < 1 + step
    assert len(errors) == 400
    if inside:
        assert abs(np.mean(errors) - target) <= (1 + 2 * step) / (step * 400) + 1e-9
    assert np.mean(errors) <= target + (1 + 2 * step) / (step * 400) + 1e-9


def test_the_dynamic_threshold_starts_at_the_static_one():
    calibration = toy_calibration((0.5, None, None, None), 80)
    static = BigLittle(accuracy_drop=0.1).choose(calibration)
    dynamic = BigLittle(accuracy_drop=0.1, period=10).choose(calibration)
    holder = AgreementHolder.from_dict(dynamic.scheme, dynamic.notes[AGREE])
    assert static.scheme == dynamic.scheme == holder.scheme
    assert static.notes == {}
    early = calibration.profile.confidence[:, 0] >= static.scheme.thresholds[0]
    answers = calibration.answers().logits.argmax(axis=2)
    assert holder.target == pytest.approx((early & (answers[:, 0] != answers[:, -1])).mean())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BigLittle(accuracy_drop=2), "final_thresholds.accuracy_drop: found 2; allowed: 0 to 1"),
        (lambda: BigLittle(period=-1), "final_thresholds.period: found -1"),
        (lambda: BigLittle(step=0), "final_thresholds.step: found 0; allowed: a number > 0"),
    ],
)
def test_options_out_of_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": 2.0}, "threshold: found 2; allowed: 0 to 1"),
        ({"target": 1.0}, "target: found 1; allowed"),
        ({"period": 0}, "period: found 0; allowed: 1 or more"),
        ({"step": 0.0}, "step: found 0; allowed"),
    ],
)
def test_damaged_values_are_refused(values, message):
    whole = AgreementHolder(SCHEME, 0.5, 0.1).to_dict()
    with pytest.raises(ValueError, match=message):
        AgreementHolder.from_dict(SCHEME, {**whole, **values})
    with pytest.raises(ValueError, match="found no placed exit"):
        AgreementHolder.from_dict(SelectionScheme((None,)), whole)
