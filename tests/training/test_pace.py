"""The number of steps of a training with a time limit, on a clock that the tests move."""

import pytest

from edanas.training.pace import Pace
from edanas.training.schedule import Schedule


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def train(limit, duration, fits=None, start=0, schedule=None, steps=None, fixed=False):
    """Train until the schedule ends, with steps of `duration(step)`; return pace, schedule and length."""
    clock = Clock()
    records = []
    pace = Pace(limit, fits, lambda fits: records.append(dict(fits)), fixed=fixed, clock=clock)
    schedule, step = schedule or Schedule(20), start
    progress = []
    while True:
        schedule = pace.schedule(schedule, step)
        progress.append(schedule.done(step))
        if step >= schedule.steps or (steps is not None and step >= steps):
            break
        clock.now += duration(step)
        step += 1
    assert progress == sorted(progress)
    assert not records or records[-1] == pace.fits
    return pace, schedule, clock.now - 100.0


@pytest.mark.parametrize("each", [0.01, 0.3, 2.0])
def test_the_time_is_used_up_and_kept(each):
    _, schedule, length = train(60.0, lambda step: each)
    assert 60 - 2 * each <= length <= 60 + each
    assert schedule.steps == pytest.approx(60 / each, abs=2)


def test_a_slow_first_step_does_not_shorten_a_training():
    _, schedule, length = train(60.0, lambda step: 5.0 if step == 0 else 0.1)
    assert 55 <= length <= 60.2
    assert schedule.steps > 500


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_a_machine_that_changes_its_speed_is_followed(factor):
    _, _, length = train(100.0, lambda step: 0.1 if step < 300 else 0.1 * factor)
    assert 90 <= length <= 101


def test_steps_that_grow_slower_all_the_time_end_in_time():
    _, _, length = train(100.0, lambda step: 0.1 + 0.001 * step)
    assert 90 <= length <= 102


@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_a_step_longer_than_the_time_is_the_only_one(limit):
    _, schedule, _ = train(limit, lambda step: 10.0)
    assert schedule.steps == 1


def test_the_schedule_ends_at_its_end():
    _, schedule, _ = train(100.0, lambda step: 0.1 if step < 300 else 0.3)
    assert schedule.done(schedule.steps) == 1.0


def test_recorded_fits_are_repeated_on_a_machine_of_another_speed():
    first, schedule, _ = train(60.0, lambda step: 0.1 if step % 2 else 0.3)
    again, repeated, _ = train(60.0, lambda step: 7.0, first.fits, fixed=True)
    assert repeated == schedule
    assert again.fits == first.fits


def test_a_resumed_training_repeats_the_fits_after_its_checkpoint():
    first, schedule, _ = train(60.0, lambda step: 0.1)
    at = max(step for step in first.fits if step)
    _, before, _ = train(60.0, lambda step: 0.1, first.fits, steps=at - 1)
    assert before != schedule
    _, resumed, _ = train(60.0, lambda step: 9.0, first.fits, at - 1, before, fixed=True)
    assert resumed == schedule


def test_an_ended_training_stays_ended():
    clock = Clock()
    pace = Pace(60.0, {0: 1000, 4: 5}, clock=clock)
    schedule, step = Schedule(20), 0
    for step in range(6):
        schedule = pace.schedule(schedule, step)
        clock.now += 0.1
    assert step == 5
    assert schedule.steps == 5
    assert schedule.done(step) == 1.0
