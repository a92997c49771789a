"""Gains against differences of hypervolumes, and rays against both."""

import numpy as np
import pytest

from edanas.numerics.pareto import hypervolume, non_dominated
from edanas.strategies.hypervolume_gain import choose_gains, contributions, gains
from edanas.strategies.ray_hypervolume import Rays


def gains_anew(front: np.ndarray, points: np.ndarray, reference: np.ndarray) -> list[float]:
    before = hypervolume(front, reference)
    return [hypervolume(np.concatenate([front, row[None]]), reference) - before for row in points]


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_gain_is_the_difference_of_two_hypervolumes(objectives: int, size: int) -> None:
    rng = np.random.default_rng(objectives)
    front, points = rng.random((size, objectives)), 1.2 * rng.random((30, objectives))
    reference = np.ones(objectives)
    added = gains(front, points, reference)
    assert added == pytest.approx(gains_anew(front, points, reference), abs=1e-12)


def test_rows_that_failed_or_lie_outside_change_nothing() -> None:
    front = np.array([[0.2, 0.8], [0.8, 0.2]])
    more = np.concatenate([front, [[np.nan, np.nan], [1.5, 0.0], [0.9, 0.9]]])
    points = np.random.default_rng(0).random((20, 2))
    assert gains(more, points, np.ones(2)) == pytest.approx(gains(front, points, np.ones(2)))


def test_the_batch_is_chosen_one_by_one_each_the_best_after_those_before() -> None:
    rng = np.random.default_rng(4)
    front, points, reference = rng.random((3, 2)) + 0.3, rng.random((40, 2)), np.full(2, 1.3)
    chosen = choose_gains(front, points, reference, 5)
    for position in chosen:
        every = gains_anew(front, points, reference)
        assert every[position] == pytest.approx(max(every))
        front = np.concatenate([front, points[[position]]])
    assert len(set(chosen.tolist())) == 5


def test_a_candidate_without_gain_is_not_chosen() -> None:
    front = np.array([[0.1, 0.1]])
    assert choose_gains(front, np.array([[0.5, 0.5], [0.05, 0.5], [2.0, 0.0]]), np.ones(2), 3).tolist() == [1]


def test_a_contribution_is_what_the_front_would_lose() -> None:
    front = np.array([[0.0, 10.0], [1.0, 4.0], [2.0, 3.0], [5.0, 0.0]])
    added = contributions(front)
    scaled = front / [5.0, 10.0]
    whole = hypervolume(scaled, np.full(2, 1.1))
    rest = [hypervolume(np.delete(scaled, i, axis=0), np.full(2, 1.1)) for i in range(4)]
    assert added == pytest.approx(whole - np.array(rest))
    assert contributions(np.array([[3.0]])).tolist() == [0.0]


@pytest.mark.parametrize(("objectives", "within"), [(1, 1e-12), (2, 0.01), (3, 0.05)])
def test_rays_measure_the_dominated_share_of_the_box(objectives: int, within: float) -> None:
    rng = np.random.default_rng(objectives)
    points = rng.random((12, objectives)) * [1.0, 50.0, 0.1][:objectives]
    rays = Rays(points, points)
    box = np.prod(rays.reference - points.min(axis=0))
    expected = hypervolume(points, rays.reference) / box
    assert rays.volume(rays.reach(points)) == pytest.approx(expected, rel=within)
    # A front reaches as far as the best of its points, ray by ray.
    each = np.stack([rays.reach(row[None]) for row in points])
    assert rays.reach(points) == pytest.approx(each.max(axis=0))
    assert rays.reach(points[non_dominated(points)]) == pytest.approx(rays.reach(points))
