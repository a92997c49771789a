"""Pareto tools against their definitions, by brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edanas.core.contracts import Objective
from edanas.core.objective_values import minimised
from edanas.core.types import Metrics
from edanas.numerics.pareto import (
    hypervolume,
    non_dominated,
    normalised_hypervolume,
    reference_point,
    trade_off,
)

FEW = settings(max_examples=60, derandomize=True)


def values_of(objectives: int, largest: int = 4) -> st.SearchStrategy[np.ndarray]:
    """Small integers, with many ties and duplicates."""
    return st.integers(1, 12).flatmap(
        lambda n: arrays(np.float64, (n, objectives), elements=st.integers(0, largest).map(float))
    )


def front_by_definition(values: np.ndarray) -> list[bool]:
    def dominated(row: np.ndarray) -> bool:
        return any((other <= row).all() and (other < row).any() for other in values)

    return [bool(np.isfinite(row).all()) and not dominated(row) for row in values]


def volume_by_counting(values: np.ndarray, reference: int) -> int:
    """Number of unit cells below the reference whose lower corner a row dominates."""
    cells = itertools.product(range(reference), repeat=values.shape[1])
    return sum(any((row <= np.array(cell)).all() for row in values) for cell in cells)


@FEW
@given(st.integers(1, 4).flatmap(values_of))
def test_the_front_is_what_the_definition_says(values: np.ndarray) -> None:
    assert non_dominated(values).tolist() == front_by_definition(values)


@FEW
@given(values_of(2), st.integers(0, 11), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_row_that_is_not_finite_changes_nothing(values: np.ndarray, at: int, bad: float) -> None:
    at = min(at, len(values))
    with_bad = np.insert(values, at, [0.0, bad], axis=0)
    result = non_dominated(with_bad)
    assert not result[at]
    assert np.delete(result, at).tolist() == front_by_definition(values)
    assert hypervolume(with_bad, np.full(2, 5.0)) == hypervolume(values, np.full(2, 5.0))


@pytest.mark.parametrize("objectives", [2, 3])
def test_no_rows_have_no_front_and_no_volume(objectives: int) -> None:
    nothing = np.zeros((0, objectives))
    assert non_dominated(nothing).shape == (0,)
    assert hypervolume(nothing, np.ones(objectives)) == 0.0
    for function in (trade_off, reference_point):
        with pytest.raises(ValueError, match="finite row"):
            function(nothing)


@FEW
@given(st.integers(2, 3).flatmap(lambda j: values_of(j, largest=6)))
def test_the_hypervolume_is_the_number_of_dominated_cells(values: np.ndarray) -> None:
    reference = np.full(values.shape[1], 5.0)
    expected = volume_by_counting(values, 5)
    assert hypervolume(values, reference) == pytest.approx(expected)
    share = normalised_hypervolume(values, np.zeros(values.shape[1]), reference)
    assert share == pytest.approx(expected / 5.0 ** values.shape[1])


def test_the_normalised_hypervolume_stays_within_0_and_1() -> None:
    assert normalised_hypervolume(np.array([[-3.0, -3.0]]), np.zeros(2), np.ones(2)) == 1.0
    assert normalised_hypervolume(np.array([[1.0, 0.0]]), np.zeros(2), np.ones(2)) == 0.0
    assert normalised_hypervolume(np.array([[0.5, -9.0]]), np.zeros(2), np.ones(2)) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="smaller than the reference"):
        normalised_hypervolume(np.zeros((1, 2)), np.zeros(2), np.array([1.0, 0.0]))


def test_the_reference_point_lies_beyond_the_maxima_whatever_their_sign() -> None:
    values = np.array(
        [[2.0, -0.9, 0.0, 0.0, np.nan], [1.0, -0.5, -4.0, 0.0, 7.0], [2.0, -0.5, -4.0, 0.0, 7.0]]
    )
    assert reference_point(values[1:]) == pytest.approx([2.02, -0.495, -3.96, 0.01, 7.07])
    assert reference_point(values[:, :4]) == pytest.approx([2.02, -0.495, 0.04, 0.01])


@FEW
@given(values_of(2))
def test_every_row_adds_volume_below_the_reference_point(values: np.ndarray) -> None:
    for row in values:
        assert hypervolume(row[None], reference_point(values)) > 0


def test_the_best_trade_off_is_the_knee() -> None:
    # From (0.2, 0.2) every step loses more than it brings; row 1 is dominated.
    values = np.array([[0.0, 1.0], [0.9, 0.9], [0.1, 0.55], [0.2, 0.2], [0.55, 0.1], [1.0, 0.0]])
    assert trade_off(values) == 3


@FEW
@given(values_of(2, largest=30), st.floats(0.01, 1e7), st.floats(0.01, 1e7), st.floats(-5, 5))
def test_the_best_trade_off_does_not_depend_on_units(
    values: np.ndarray, first: float, second: float, shift: float
) -> None:
    chosen = trade_off(values)
    assert non_dominated(values)[chosen]
    moved = trade_off(values * [first, second] + shift)
    assert (values[moved] == values[chosen]).all()


@FEW
@given(values_of(3, largest=9), st.randoms(use_true_random=False))
def test_the_best_trade_off_does_not_depend_on_the_order(values: np.ndarray, random) -> None:
    order = list(range(len(values)))
    random.shuffle(order)
    assert (values[order][trade_off(values[order])] == values[trade_off(values)]).all()


@FEW
@given(values_of(2, largest=30), st.floats(0, 1))
def test_the_best_trade_off_agrees_with_the_rule_written_out(values: np.ndarray, share: float) -> None:
    front = np.array(sorted({tuple(row) for row in values[non_dominated(values)]}))
    scaled = (front - front.min(axis=0)) / np.where(np.ptp(front, axis=0) > 0, np.ptp(front, axis=0), 1)
    scores = []
    for point in scaled:
        others = sorted((np.linalg.norm(o - point), tuple(o)) for o in scaled if (o != point).any())
        reach = max([0.125, *(d for d, _ in others[: min(4, len(others))])])
        ratios = [
            np.maximum(np.array(o) - point, 0).sum() / np.maximum(point - np.array(o), 0).sum()
            for d, o in others
            if d <= reach * (1 + 1e-9)
        ]
        scores.append(min(ratios, default=1.0))
    best = next(i for i, score in enumerate(scores) if score >= max(scores) * (1 - 1e-9))
    assert (values[trade_off(values)] == front[best]).all()
    limit = np.quantile(front[:, 0], share)
    allowed = [i for i, row in enumerate(front) if row[0] <= limit]
    best = next(i for i in allowed if scores[i] >= max(scores[j] for j in allowed) * (1 - 1e-9))
    assert (values[trade_off(values, values[:, 0] <= limit)] == front[best]).all()


def test_a_trade_off_of_equals_is_the_first_row() -> None:
    assert trade_off(np.array([[np.nan, 0.0], [1.0, 1.0], [1.0, 1.0]])) == 1
    assert trade_off(np.array([[1.0, 0.0], [0.0, 1.0]])) == 1


class _Exits(Objective):
    def value(self, metrics: Metrics) -> float:
        return float(len(metrics.utilization))


class _Accuracy(Objective):
    maximise = True

    def value(self, metrics: Metrics) -> float:
        return metrics.accuracy


def test_maximised_objectives_turn_and_others_stay() -> None:
    metrics = Metrics(0.75, (0.5, 0.5), (1.0, 0.5), 1.0, 2.0, 0.8, 3, 4, 5)
    assert minimised([_Accuracy(), _Exits()], metrics) == [-0.75, 2.0]
