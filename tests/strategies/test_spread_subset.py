"""The choice of a batch against all other choices."""

import itertools

import numpy as np
import pytest

from edanas.strategies.spread_subset import choose_spread, spread_subset


def deviation(fixed: np.ndarray, chosen: np.ndarray) -> float:
    return float(np.diff(np.sort(np.concatenate([fixed, chosen]))).std())


@pytest.mark.parametrize("seed", range(5))
def test_the_subset_is_close_to_the_best_of_all_and_far_from_random(seed: int) -> None:
    rng = np.random.default_rng(seed)
    greedy, best, random = [], [], []
    for _ in range(10):
        fixed, pool = np.concatenate([[0.0, 1.0], rng.random(4)]), rng.random(10)
        count = int(rng.integers(1, 6))
        positions = spread_subset(fixed, pool, count)
        assert len(set(positions.tolist())) == count
        every = [deviation(fixed, pool[list(c)]) for c in itertools.combinations(range(10), count)]
        greedy.append(deviation(fixed, pool[positions]))
        best.append(min(every))
        random.append(np.mean(every))
    assert min(np.array(greedy) - best) >= -1e-12
    assert np.mean(np.isclose(greedy, best)) >= 0.7
    assert np.sum(greedy) - np.sum(best) < 0.1 * (np.sum(random) - np.sum(best))


def test_no_single_exchange_makes_the_subset_better() -> None:
    rng = np.random.default_rng(3)
    fixed, pool = rng.random(30), rng.random(40)
    chosen = set(spread_subset(fixed, pool, 8).tolist())
    reached = deviation(fixed, pool[sorted(chosen)])
    for out, new in itertools.product(chosen, set(range(40)) - chosen):
        assert deviation(fixed, pool[sorted(chosen - {out} | {new})]) >= reached * (1 - 1e-6)


def test_subsets_of_small_pools_and_equal_numbers() -> None:
    assert spread_subset(np.array([0.0]), np.array([3.0, 1.0]), 5).tolist() == [0, 1]
    assert spread_subset(np.array([0.0]), np.zeros(0), 5).tolist() == []
    assert spread_subset(np.zeros(0), np.array([3.0, 1.0]), 1).tolist() == [0]
    assert spread_subset(np.zeros(0), np.array([3.0, 1.0]), 0).tolist() == []
    # Between 0 and 1, the middle; equal numbers never make the exchange run for ever.
    assert spread_subset(np.array([0.0, 1.0]), np.array([0.1, 0.5, 0.9]), 1).tolist() == [1]
    assert len(spread_subset(np.zeros(3), np.zeros(6), 4)) == 4


def test_the_first_layers_are_kept_and_the_last_is_thinned_evenly() -> None:
    front = np.array([[0.0, 1.0], [1.0, 0.0]])
    best = [[0.2, 0.6], [0.6, 0.2]]
    worse = [[0.7, 0.7], [0.71, 0.69], [0.9, 0.4], [0.91, 0.39]]
    pool = np.array([*worse, *best])
    assert choose_spread(front, pool, 2).tolist() == [4, 5]
    assert choose_spread(front, pool, 1).tolist() in ([4], [5])
    assert {4, 5} < set(choose_spread(front, pool, 4).tolist())
    # Filling 0.2 .. 0.6 .. 1 evenly takes one of each pair of neighbours.
    third, fourth = choose_spread(front, pool, 4).tolist()[:2]
    assert third in (0, 1)
    assert fourth in (2, 3)
    assert choose_spread(front, pool, 9).tolist() == [0, 1, 2, 3, 4, 5]
    assert choose_spread(front, pool[:0], 3).tolist() == []


def test_a_layer_that_does_not_fit_keeps_its_ends_first() -> None:
    front = np.array([[0.4, 0.6], [0.6, 0.4]])
    x = np.array([0.0, 0.41, 0.43, 0.45, 0.5, 0.55, 0.59, 1.0])
    pool = np.stack([x, 1 - x], axis=1)
    # Even gaps alone would fill the front's middle and never try what lies beyond it.
    assert choose_spread(front, pool, 3).tolist() == [0, 4, 7]
    assert choose_spread(front, pool, 2).tolist() == [0, 7]
    assert len(choose_spread(front, pool, 1)) == 1
