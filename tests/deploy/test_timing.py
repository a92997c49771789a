import itertools

import numpy as np
import pytest

from edanas.deploy.timing import Side, Timing, batches, interleaved_timings


def images(count):
    return np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize(("count", "size", "calls"), [(5, 1, 5), (4, 2, 2), (5, 2, 3), (2, 5, 1)])
def test_batches_are_whole_and_hold_every_image(count, size, calls):
    cut = batches(images(count), size)
    assert [len(each) for each in cut] == [size] * calls
    numbers = np.concatenate(cut).ravel()
    assert list(numbers[:count]) == list(range(count))
    assert list(numbers[count:]) == [at % count for at in range(count, len(numbers))]


def test_sides_take_turns_and_are_warm_before_they_count():
    calls_made, ticks = [], itertools.count()
    took = {"slow": 3.0, "fast": 1.0}

    def side(name):
        time = itertools.count()
        moment = {"now": 0.0}

        def run(batch):
            calls_made.append((name, int(batch[0, 0, 0, 0])))
            # The first call of each turn is slow, and is not to be seen anywhere.
            moment["now"] += took[name] if next(time) % 3 else 100.0

        return Side(run, batches(images(4), 2), lambda: moment["now"])

    result = interleaved_timings({"slow": side("slow"), "fast": side("fast")}, 2, lambda: float(next(ticks)))
    assert {name: timing.mean for name, timing in result.items()} == took
    assert {name: timing.seconds.shape for name, timing in result.items()} == {
        "slow": (2, 2),
        "fast": (2, 2),
    }
    assert result["slow"].joules == 0.5  # one for a repetition of two calls
    order = [name for name, first in calls_made if first == 0]
    assert order == [
        "slow",
        "slow",
        "fast",
        "fast",
        "fast",
        "fast",
        "slow",
        "slow",
    ]  # twice: once to get warm


def test_one_bad_repetition_does_not_move_the_mean():
    seconds = np.array([[1.0, 2.0], [1.0, 2.0], [50.0, 2.0]])
    timing = Timing(seconds, 1)
    assert timing.mean == 1.5
    low, middle, high = timing.percentiles
    assert low == 2.0
    assert low <= middle <= high <= 50.0
    assert timing.of(np.array([False, True])).mean == 2.0
