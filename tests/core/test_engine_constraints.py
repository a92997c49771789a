"""A search with constraints: evaluations, records, hypervolume and end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edanas.core.archive import Archive
from edanas.core.contracts import Constraint, SearchProblem
from edanas.core.engine import Engine, SearchOutcome, SearchSetup
from edanas.core.errors import InfeasibleError, Interrupted
from edanas.core.feasible import Feasibility
from edanas.core.objective_values import minimised
from edanas.core.progress import Silent
from edanas.core.settings import SearchSettings
from edanas.core.types import Candidate, Metrics
from edanas.executors.serial import Serial
from edanas.numerics.pareto import normalised_hypervolume, reference_point
from edanas.strategies.evolution import Nsga2Search
from edanas.testing.toy_search import LinearSurrogate, ToyAccuracy, ToyCost, ToyEvaluator, toy_space

OBJECTIVES = (ToyAccuracy(), ToyCost())
SPACE = toy_space()


class AtMost(Constraint):
    """Upper limit of a metric."""

    def __init__(self, field: str, most: float, basis: Any) -> None:
        self.field, self.most, self.basis = field, most, basis

    def excess(self, candidate: Candidate, metrics: Metrics | None) -> float:
        return float(getattr(metrics, self.field)) / self.most - 1

    def describe(self, candidate: Candidate, metrics: Metrics | None) -> str:
        return f"{self.field} is {getattr(metrics, self.field)}; allowed: at most {self.most}"


class Cut(ToyEvaluator):
    """Evaluator that is interrupted at one of its evaluations."""

    def __init__(self, at: int = -1) -> None:
        self.left = at

    def evaluate(self, candidate: Candidate) -> Metrics:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return super().evaluate(candidate)


def search(
    folder: Path, *constraints: Constraint, cut: int = -1, events: list[Any] | None = None
) -> SearchOutcome:
    limits = Feasibility(constraints, ToyEvaluator().evaluate)
    strategy = Nsga2Search(population=6)
    strategy.start(
        SearchProblem(
            SPACE,
            2,
            lambda _: LinearSurrogate(),
            seed=0,
            initial=8,
            progress=Silent(),
            limits=limits.limits,
            structure=limits.structure if limits.structural else None,
        )
    )

    def notify(_event: str, **values: Any) -> None:
        if events is not None:
            events.extend(values.values())

    with Archive(folder) as archive:
        length = SearchSettings(initial=8, iterations=4, per_iteration=5)
        setup = SearchSetup(SPACE, strategy, Cut(cut), Serial(), OBJECTIVES, length, limits=limits)
        return Engine(setup, archive, notify, Silent()).run()


SMALL = AtMost("params", 60, "costs")
SLOW = AtMost("ada_macs", 9000, "outcome")


def test_only_candidates_of_feasible_structure_are_evaluated_and_recorded(
    tmp_path: Path,
) -> None:
    events: list[Any] = []
    outcome = search(tmp_path, SMALL, SLOW, events=events)
    assert len(outcome.evaluations) == 28
    for evaluation in outcome.evaluations:
        metrics = evaluation.metrics
        assert metrics is not None
        assert metrics.params <= 60
        assert evaluation.violation == max(0.0, metrics.ada_macs / 9000 - 1)
        assert evaluation.feasible == (metrics.ada_macs <= 9000)
    with Archive(tmp_path, read_only=True) as archive:
        assert tuple(e for _, e in archive.replay()) == outcome.evaluations
    summaries = [event for event in events if hasattr(event, "hypervolume")]
    for summary in summaries:
        feasible = [e.feasible for e in outcome.evaluations if e.iteration == summary.iteration]
        assert summary.feasible == sum(feasible) / len(feasible)
    # After the random initial archive, more candidates are feasible.
    assert summaries[-1].feasible > summaries[0].feasible


def test_the_hypervolume_counts_feasible_candidates_only(tmp_path: Path) -> None:
    outcome = search(tmp_path, SLOW)
    values = np.array([minimised(OBJECTIVES, e.metrics) for e in outcome.evaluations if e.metrics])
    first = values[:8]
    ideal = np.minimum(first.min(axis=0), [-1.0, 0.0])
    feasible = values[[e.feasible for e in outcome.evaluations]]
    assert 0 < len(feasible) < len(values)
    expected = normalised_hypervolume(feasible, ideal, reference_point(first))
    assert outcome.hypervolumes[-1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("cut", [3, 8, 14, 26])
def test_an_interrupted_search_resumes_with_the_same_results(tmp_path: Path, cut: int) -> None:
    whole = search(tmp_path / "whole", SMALL, SLOW)
    with pytest.raises(Interrupted):
        search(tmp_path / "cut", SMALL, SLOW, cut=cut)
    again = search(tmp_path / "cut", SMALL, SLOW)
    assert again.evaluations == whole.evaluations
    assert again.hypervolumes == whole.hypervolumes


def test_a_search_without_constraints_reports_no_feasible_share(tmp_path: Path) -> None:
    events: list[Any] = []
    outcome = search(tmp_path, events=events)
    assert all(e.violation == 0 for e in outcome.evaluations)
    assert {event.feasible for event in events if hasattr(event, "hypervolume")} == {None}


def test_without_a_feasible_structure_the_error_names_the_nearest_candidate(tmp_path: Path) -> None:
    with pytest.raises(
        InfeasibleError, match=r"the nearest candidate is .*: params is 9; allowed: at most 5"
    ) as error:
        search(tmp_path, AtMost("params", 5, "costs"), SLOW)
    assert error.value.exit_code == 2
    with Archive(tmp_path, read_only=True) as archive:
        assert archive.count() == 0


def test_a_narrow_region_is_found_without_an_evaluation_outside_it(tmp_path: Path) -> None:
    """9 parameters are one layer of kernel 3: a 78th of the 702 candidates."""
    outcome = search(tmp_path, AtMost("params", 9, "costs"))
    assert len(outcome.evaluations) >= 8
    assert all(e.metrics is not None and e.metrics.params == 9 for e in outcome.evaluations)


def test_without_a_feasible_outcome_the_search_still_completes(tmp_path: Path) -> None:
    outcome = search(tmp_path, AtMost("ada_macs", 1, "outcome"))
    assert (outcome.stopped, set(outcome.hypervolumes)) == ("completed", {0.0})
    assert not any(e.feasible for e in outcome.evaluations)
    costs = [e.metrics.ada_macs for e in outcome.evaluations if e.metrics]
    assert np.mean(costs[-5:]) < np.mean(costs[:8])
