"""Times of trainings that several workers make at once."""

import math
from collections.abc import Mapping

import pytest

from edanas.evaluation.finish_time import FinishTime, least_training
from edanas.training.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("networks", [1, 2, 4, 5])
def test_networks_of_equal_size_end_in_time_and_use_it(workers: int, networks: int) -> None:
    """Workers draw a network when they are free; each network takes its limit and its overhead."""
    clock, overhead, total, records = Clock(), 2.0, 100.0, list[Mapping[int, int]]()

    def pace(_name: str, limit: float) -> Pace:
        return Pace(limit, record=records.append, clock=clock)

    time = FinishTime(lambda: total - clock.now, pace, overhead, workers=workers)
    time.begin([1e6] * networks)
    running: list[tuple[float, str]] = []
    names = [str(number) for number in range(networks)]
    while names or running:
        while names and len(running) < workers:
            limit = time.start(name := names.pop(0)).limit
            assert limit > 0
            running.append((clock.now + limit + overhead, name))
        running.sort()
        clock.now, name = running.pop(0)
        time.end(name, {0: 7}, overhead)
    assert clock.now <= total + 1e-6
    # The last networks may leave a worker idle.
    assert clock.now >= 0.6 * total
    assert records == [{0: 7}] * networks


def test_a_failed_network_changes_no_expectation() -> None:
    time = FinishTime(lambda: 100.0, lambda _, limit: Pace(limit), overhead=5.0)
    time.begin([1e6])
    time.start("a")
    time.end("a", {}, 0.0)
    assert time.overhead == 5.0


def test_networks_that_follow_get_their_share_of_the_time() -> None:
    """Two networks, then two more of the same work, and one of three times the work."""
    time = FinishTime(lambda: 100.0, lambda _, limit: Pace(limit), overhead=0.0)
    time.later = [1e6, 1e6, 3e6]
    time.begin([1e6, 1e6])
    assert time.start("a").limit == pytest.approx(100 * (1 + 0.75) / (7 + 5 * 0.75))


def test_an_expected_overhead_takes_half_of_the_time_at_most_and_a_measured_one_all_of_its_time() -> None:
    time = FinishTime(lambda: 100.0, lambda _, limit: Pace(limit), overhead=20.0)
    time.begin([1e6] * 4)
    assert time.start("a").limit == pytest.approx(12.5)
    time.end("a", {}, 20.0)
    assert time.start("b").limit == pytest.approx(40 / 3)


@pytest.mark.parametrize(("training", "expected"), [(0.0, 5), (10.0, 5), (30.0, 2), (500.0, 1)])
def test_there_are_as_many_networks_as_can_be_trained_for_long_enough(training: float, expected: int) -> None:
    time = FinishTime(lambda: 100.0, lambda _, limit: Pace(limit), overhead=10.0)
    assert time.affordable(8, training) == expected
    repeated = FinishTime(lambda: math.inf, lambda _, limit: Pace(limit), overhead=10.0)
    assert repeated.affordable(8, training) == 8


def test_a_result_trains_for_fewer_epochs_where_weights_are_trained_or_settings_ask_for_less() -> None:
    long, alone, short, none = (
        least_training(epochs, 1.0, single=single)
        for epochs, single in ((100, False), (100, True), (2, False), (0, False))
    )
    assert long > alone > short > none == 0
