import pytest
from hypothesis import given
from hypothesis import strategies as st

from edanas.training.schedule import Schedule, TimeSlice

steps = st.integers(1, 10_000)


@given(steps, st.integers(0, 10_000))
def test_a_first_schedule_is_a_straight_line(total, step):
    assert Schedule(total).done(step) == pytest.approx(step / total)


@given(steps, st.data())
def test_a_refitted_schedule_goes_on_where_the_old_one_was_and_ends_in_time(total, data):
    step = data.draw(st.integers(1, total))
    seconds = data.draw(st.floats(0.1, 1e4))
    limit = data.draw(st.floats(0.1, 1e5))
    old = Schedule(total)
    new = old.refitted(step, seconds, limit, seconds / step)
    assert new.done(step) == pytest.approx(old.done(step)) or new.steps == step
    assert new.done(new.steps) == pytest.approx(1.0)
    expected = seconds + (new.steps - step) * seconds / step
    if new != old:
        assert expected <= max(limit, seconds) * (1 + 1e-9)
        assert expected + seconds / step >= limit * (1 - 1e-9)
        assert Schedule.from_dict(new.to_dict()) == new


def test_a_schedule_that_fits_within_a_twentieth_stays():
    fits = Schedule(1000)
    assert fits.refitted(500, 500.0, 1020.0, 1.0) is fits
    assert fits.refitted(500, 500.0, 1100.0, 1.0).steps == 1100
    assert fits.refitted(500, 500.0, 300.0, 1.0).steps == 500


def test_a_time_slice_ends_before_a_step_that_does_not_fit(monkeypatch):
    now = iter([0.0, 5.0, 6.0, 8.0, 9.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    segment = TimeSlice(10.0)
    # The 5 seconds before the first step do not count; the longest step takes 2.
    assert [segment.is_over() for _ in range(4)] == [False, False, False, True]


def test_a_slow_first_step_does_not_shorten_the_time_slice(monkeypatch):
    now = iter([0.0, 1.0, 61.0, 63.0, 65.0, 67.0, 69.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    segment = TimeSlice(70.0)
    # 60 seconds for the first step, 2 for each later one: the fifth would end at 71.
    assert [segment.is_over() for _ in range(6)] == [False, False, False, False, False, True]
