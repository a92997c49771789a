import numpy as np
import pytest

from edanas.benchmark.results import BatchBench, ByExit, FormBench
from edanas.benchmark.shortfalls import shortfalls
from edanas.core.costs import Costs
from edanas.core.types import SelectionScheme
from edanas.deploy.timing import Timing

SCHEME = SelectionScheme((0.5, None))
SMALL = Costs(stages=(40, 30, 28), heads=(10, 5), last=2)  # until exit 1 half of the backbone's 100


def timing(seconds: float) -> Timing:
    return Timing(np.full((2, 3), seconds), 1)


def form(first: float, last: float, size: int = 1) -> FormBench:
    """Half of the images exit at each exit, after these seconds; the backbone takes 1."""
    batch = BatchBench(size, timing((first + last) / 2), timing(1.0), 100 / 80)
    exits = tuple(
        ByExit(at, 0.5, timing(each) if size == 1 else None) for at, each in ((0, first), (2, last))
    )
    return FormBench("torch", 3, 3, 1.0, 80.0, (batch,), exits, None)


def test_the_exit_where_most_is_lost_is_named_with_what_it_takes():
    remark, why = shortfalls([form(0.8, 1.15)], SMALL, SCHEME)
    assert remark == (
        "torch: early exits save less time than multiply-adds, 0.82 in batches of 1. Most time is lost at "
        "exit 1: the network up to this exit has 50% of the backbone's multiply-adds and takes 80% of "
        "its time, for single samples."
    )
    assert why.startswith("Below 10M multiply-adds")
    assert (
        "Most time is lost at the last exit: the network up to this exit has 110%"
        in shortfalls([form(0.55, 1.5)], SMALL, SCHEME)[0]
    )


def test_a_large_network_is_not_called_small():
    large = Costs(stages=(40_000_000, 30_000_000, 28_000_000), heads=(10_000_000, 5_000_000), last=2_000_000)
    assert len(shortfalls([form(0.8, 1.15)], large, SCHEME)) == 1


@pytest.mark.parametrize("result", [form(0.5, 1.1), form(0.55, 1.15)])
def test_enough_speed_up_gets_no_remark(result):
    assert shortfalls([result], SMALL, SCHEME) == ()


def test_without_single_images_no_exit_is_named():
    remark = shortfalls([form(0.8, 1.15, size=32)], SMALL, SCHEME)[0]
    assert remark.endswith("0.82 in batches of 32.")
