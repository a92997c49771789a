"""The end of a search: budgets, time, an exhausted space."""

from pathlib import Path
from typing import Any

import pytest
from engine_runs import TOTAL, Events, Lottery, recorded, search

from edanas.core import engine as engine_module
from edanas.core.engine import SearchOutcome
from edanas.core.errors import CandidateError
from edanas.core.settings import SearchSettings
from edanas.core.types import Candidate
from edanas.testing.toy_search import toy_space


@pytest.mark.parametrize("budget", [1, 5, 6, 7, 10, 17, 18, 40])
def test_a_budget_of_evaluations_is_exact_and_can_be_raised(
    budget: int, tmp_path: Path, whole: tuple[SearchOutcome, list[Any], Events]
) -> None:
    length = SearchSettings(initial=6, iterations=3, per_iteration=4, max_evals=budget)
    for _ in range(2):  # running again adds nothing
        outcome = search(tmp_path, length)
        assert recorded(tmp_path) == whole[1][:budget]
        assert outcome.evaluations == whole[0].evaluations[:budget]
        assert outcome.stopped == ("completed" if budget >= TOTAL else "max_evals")
    assert len(outcome.hypervolumes) == len({e.iteration for e in outcome.evaluations})
    raised = search(tmp_path)
    assert recorded(tmp_path) == whole[1]
    assert raised.hypervolumes == whole[0].hypervolumes


@pytest.mark.parametrize("limit", [0.5, 3.0, 8.0, 30.0])
def test_a_time_limited_run_is_the_beginning_of_the_unlimited_one(
    limit: float,
    tmp_path: Path,
    whole: tuple[SearchOutcome, list[Any], Events],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(engine_module, "monotonic", lambda: float(next(clock)))
    length = SearchSettings(initial=6, iterations=3, per_iteration=4, time_limit=limit)
    events = Events()
    sizes = []
    for _ in range(40):
        outcome = search(tmp_path, length, notify=events)
        sizes.append(len(outcome.evaluations))
        assert recorded(tmp_path) == whole[1][: sizes[-1]]
        if outcome.stopped == "completed":
            break
        assert outcome.stopped == "time_limit"
    # Each start continues the last one if its time suffices for one evaluation.
    assert sizes[0] >= 1
    if limit > 2:
        assert sizes[-1] == TOTAL
        assert (len(sizes) > 1) == (limit < 30)
        assert sizes == sorted(set(sizes))
        assert events.summaries == whole[2].summaries
        assert outcome.hypervolumes == whole[0].hypervolumes
    else:
        assert set(sizes) == {1}


def test_an_exhausted_space_ends_the_search_tidily(tmp_path: Path) -> None:
    space = toy_space(layers=1, exit_points=1)
    for _ in range(2):
        outcome = search(tmp_path, SearchSettings(initial=6, iterations=9, per_iteration=5), space=space)
        assert outcome.stopped == "exhausted"
        assert len(outcome.evaluations) == space.size() == 18
        assert [e.iteration for e in outcome.evaluations][-2:] == [3, 3]
        assert len(outcome.hypervolumes) == 4


def test_a_strategy_without_a_first_candidate_is_an_error(tmp_path: Path) -> None:
    class Idle(Lottery):
        def initial(self) -> list[Candidate]:
            return []

    with pytest.raises(CandidateError, match="no candidate for the initial archive"):
        search(tmp_path, strategy=Idle())
