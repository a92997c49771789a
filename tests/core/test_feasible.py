"""Constraint domination against its definition, and violations of a candidate."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edanas.core.contracts import Constraint
from edanas.core.errors import CandidateError
from edanas.core.feasible import Feasibility, feasible_first
from edanas.core.types import Backbone, Candidate, Metrics, SelectionScheme
from edanas.numerics.pareto import non_dominated
from edanas.testing.toy_search import ToyEvaluator, toy_space


def dominates(one, other):
    """Definition 1 of Deb et al. (2002), after Deb (2000)."""
    (x, v), (y, w) = one, other
    if (v > 0) != (w > 0):
        return v == 0
    if v > 0:
        return v < w
    return all(a <= b for a, b in zip(x, y, strict=True)) and any(a < b for a, b in zip(x, y, strict=True))


@st.composite
def tables(draw):
    objectives = draw(st.integers(2, 3))
    number = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])
    row = st.tuples(st.tuples(*[number] * objectives), st.sampled_from([0.0, 0.0, 1e-9, 0.5, 2.0]))
    return draw(st.lists(row, min_size=1, max_size=12))


@given(tables())
def test_dominance_of_ranked_values_is_constraint_domination(rows):
    values, violations = np.array([x for x, _ in rows]), np.array([v for _, v in rows])
    ranked = feasible_first(values, violations)
    for i, one in enumerate(rows):
        for j, other in enumerate(rows):
            plainly = (ranked[i] <= ranked[j]).all() and (ranked[i] < ranked[j]).any()
            assert plainly == dominates(one, other)
    expected = [not any(dominates(other, one) for other in rows) for one in rows]
    assert non_dominated(ranked).tolist() == expected
    assert (ranked[violations == 0] == values[violations == 0]).all()


def test_values_of_failed_candidates_stay_nan():
    values = np.array([[1.0, 2.0], [np.nan, np.nan], [0.0, 0.0]])
    ranked = feasible_first(values, np.array([0.0, np.nan, 3.0]))
    assert np.isnan(ranked[1]).all()
    assert (ranked[2] > ranked[0]).all()
    assert feasible_first(values, np.array([0.0, np.nan, 0.0])) is values


class Cheap(Constraint):
    basis = "costs"

    def __init__(self, most):
        self.most = most

    def excess(self, candidate, metrics):
        return metrics.params / self.most - 1

    def describe(self, candidate, metrics):
        return f"params is {metrics.params}; allowed: at most {self.most}"


class Right(Cheap):
    basis = "outcome"

    def excess(self, candidate, metrics):
        return self.most - metrics.accuracy

    def describe(self, candidate, metrics):
        return "too often wrong"


CANDIDATE = toy_space().decode(toy_space().counts - 1)
METRICS = ToyEvaluator().evaluate(CANDIDATE)


def test_violations_are_added_up():
    both = Feasibility([Cheap(METRICS.params / 3), Right(METRICS.accuracy + 0.25), Cheap(1e9)])
    assert both.violation(CANDIDATE, METRICS) == pytest.approx(2.25)
    assert both.breaches(CANDIDATE, METRICS) == [
        f"params is {METRICS.params}; allowed: at most {METRICS.params / 3}",
        "too often wrong",
    ]
    # Before an evaluation the structure is unknown, since no function counts costs.
    assert (both.limits, both.structural, both.structure(CANDIDATE)) == (3, False, 0)


def test_constraints_on_costs_are_checked_before_an_evaluation():
    counted_candidates = []

    def counted(candidate):
        counted_candidates.append(candidate)
        return METRICS

    both = Feasibility([Cheap(METRICS.params / 3), Right(METRICS.accuracy + 0.25)], counted)
    assert (both.limits, both.structural) == (1, True)
    assert both.structure(CANDIDATE) == pytest.approx(2)
    assert both.excesses(CANDIDATE, METRICS) == [pytest.approx(0.25)]
    assert counted_candidates == [CANDIDATE]
    without = Feasibility([Cheap(1.0)], counted, bare=True)
    without.structure(CANDIDATE)
    assert counted_candidates[-1] == Candidate(CANDIDATE.backbone, SelectionScheme((None, None)))


def test_an_excess_of_nan_is_refused():
    broken = Feasibility([Right(math.nan)])
    with pytest.raises(CandidateError, match="constraint Right is exceeded by nan"):
        broken.violation(CANDIDATE, METRICS)


def test_without_constraints_all_is_feasible():
    free = Feasibility()
    metrics = Metrics.from_dict(METRICS.to_dict())
    candidate = Candidate(Backbone(()), SelectionScheme(()))
    assert (free.violation(candidate, metrics), free.structure(candidate), free.limits) == (0, 0, 0)
