"""Early stopping in rungs: the rule, the record of partial results, budgets in epochs, and resuming."""

import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_runs import LENGTH, search
from hypothesis import given
from hypothesis import strategies as st

from edanas.core.archive import Archive
from edanas.core.engine import MAX_EPOCHS
from edanas.core.rungs import StopRule, rung_note
from edanas.core.types import Candidate, Metrics
from edanas.numerics.pareto import non_dominated
from edanas.numerics.successive_halving import stops
from edanas.testing.toy_search import ToyAccuracy, ToyCost, ToyEvaluator

points = st.tuples(st.integers(0, 4), st.integers(0, 4))


@given(st.lists(points, min_size=1, max_size=12), st.integers(2, 4))
def test_a_candidate_stops_when_enough_others_are_in_earlier_layers(rows: Any, reduction: int) -> None:
    values = np.array(rows, dtype=np.float64)
    layers, left = np.zeros(len(values), dtype=int), np.arange(len(values))
    while len(left):
        best = non_dominated(values[left])
        layers[left[~best]] += 1
        left = left[~best]
    better = int((layers < layers[-1]).sum())
    expected = len(values) >= reduction and better >= max(1, len(values) // reduction)
    assert stops(values[-1], values[:-1], reduction) == expected
    if not layers[-1]:
        assert not stops(values[-1], values[:-1], reduction)


class Rising(ToyEvaluator):
    """Accuracies that rise with epochs, at 1, 3 and 9 epochs."""

    rungs = (1.0, 3.0, 9.0)

    def __init__(self) -> None:
        self.trained: list[float] = []

    def evaluate(self, candidate: Candidate) -> Metrics:
        raise AssertionError("not in rungs")

    def evaluate_in_rungs(self, candidate: Candidate, stops: Any) -> Metrics:
        whole = super().evaluate(candidate)
        for rung, epochs in enumerate(self.rungs):
            metrics = replace(whole, accuracy=whole.accuracy * (1 - 0.3 / epochs))
            if epochs < 9 and stops(rung, metrics):
                break
        self.trained.append(epochs)
        return metrics


def notes(folder: Path) -> list[dict[str, Any]]:
    with Archive(folder) as archive:
        meta = archive.meta()
        return [meta[rung_note(evaluation.candidate.id)] for _, evaluation in archive.replay()]


def test_partial_results_are_recorded_and_end_trainings(tmp_path: Path) -> None:
    evaluator = Rising()
    outcome = search(tmp_path, evaluator=evaluator)
    recorded = notes(tmp_path)
    assert [note["epochs"] for note in recorded] == evaluator.trained
    # No results precede the initial archive, so its trainings are whole; later ones end early.
    assert evaluator.trained[: LENGTH.initial] == [9.0] * LENGTH.initial
    assert {1.0, 9.0} <= set(evaluator.trained[LENGTH.initial :])
    for index, note in enumerate(recorded):
        first = LENGTH.initial + LENGTH.per_iteration * max(0, outcome.evaluations[index].iteration - 1)
        earlier = recorded[: first if outcome.evaluations[index].iteration else 0]
        for rung, values in enumerate(note["values"]):
            before = [each["values"][rung] for each in earlier if len(each["values"]) > rung]
            ended = stops(np.array(values), np.array(before).reshape(-1, 2), 3)
            assert ended == (note["stopped"] and rung == len(note["values"]) - 1)


@pytest.mark.parametrize("cut", [3, 8, 12, 17])
def test_a_resumed_search_gives_the_same_archive(cut: int, tmp_path: Path) -> None:
    search(tmp_path / "whole", evaluator=Rising())
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    with Archive(tmp_path / "cut") as archive:
        archive._connection.execute(f"DELETE FROM evaluations WHERE seq > {cut}")
    search(tmp_path / "cut", evaluator=Rising())
    assert notes(tmp_path / "cut") == notes(tmp_path / "whole")


@pytest.mark.parametrize("limit", [54.0, 70.0, 80.0])
def test_a_budget_of_epochs_ends_the_search(limit: float, tmp_path: Path) -> None:
    evaluator = Rising()
    outcome = search(tmp_path, replace(LENGTH, iterations=30, max_epochs=limit), evaluator)
    assert outcome.stopped == MAX_EPOCHS
    assert limit - 9 < sum(evaluator.trained) <= limit
    again = search(tmp_path, replace(LENGTH, iterations=30, max_epochs=limit), evaluator)
    assert again.evaluations == outcome.evaluations


def test_a_rule_is_picklable() -> None:
    rule = StopRule(stops, (ToyAccuracy(), ToyCost()), (np.zeros((3, 2)) - 2.0,), 3)
    metrics = ToyEvaluator().evaluate(_candidate())
    assert pickle.loads(pickle.dumps(rule))(0, metrics) is rule(0, metrics) is True


def _candidate() -> Candidate:
    from edanas.testing.toy_search import toy_space

    space = toy_space()
    return space.decode(next(iter(space.genomes())))
