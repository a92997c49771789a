"""The asynchronous search: busy workers, the order of results, and resuming."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_runs import Events, Lottery, recorded, search

from edanas.core.archive import Archive
from edanas.core.asynchronous import ASKS, AsynchronousEngine
from edanas.core.engine import EXHAUSTED, MAX_EVALS, SearchSetup
from edanas.core.progress import Silent
from edanas.core.settings import SearchSettings
from edanas.core.types import Candidate
from edanas.testing.simulated_workers import SimulatedWorkers
from edanas.testing.toy_search import ToyAccuracy, ToyCost, ToyEvaluator, toy_problem, toy_space

LENGTH = SearchSettings(initial=6, iterations=5, per_iteration=4)


class Watchful(Lottery):
    """A lottery that excludes pending candidates and records each call with all that it depends on."""

    def start(self, problem: Any) -> None:
        super().start(problem)
        self.pending: list[bytes] = []
        self.asks: list[tuple[list[list[int]], list[bytes], list[str]]] = []

    def set_pending(self, genomes: np.ndarray) -> None:
        assert genomes.shape[1] == self.problem.space.dimensions
        self.pending = [genome.tobytes() for genome in genomes]

    def ask(self, count: int) -> list[Candidate]:
        space = self.problem.space
        drawn = self._draw(count + len(self.pending))
        chosen = [each for each in drawn if space.encode(each).tobytes() not in self.pending][:count]
        rows = [row.tolist() for row in self.rows]
        self.asks.append((rows, sorted(self.pending), [each.id for each in chosen]))
        return chosen


def seconds(candidate: Candidate) -> float:
    """Return 1 to 3 seconds, the same for the same candidate."""
    return 1 + int(candidate.id, 16) % 1000 / 500


def asynchronous(
    folder: Path, length: SearchSettings = LENGTH, workers: int = 3, events: Any = None, space: Any = None
) -> tuple[Any, Watchful, SimulatedWorkers]:
    executor, strategy = SimulatedWorkers(workers, seconds, asynchronous=True), Watchful()
    space = space or toy_space()
    strategy.start(toy_problem(space, seed=5, initial=length.initial))
    with Archive(folder) as archive:
        setup = SearchSetup(space, strategy, ToyEvaluator(), executor, (ToyAccuracy(), ToyCost()), length)
        assert AsynchronousEngine.continues(setup, archive)
        outcome = AsynchronousEngine(setup, archive, events or (lambda *_, **__: None), Silent()).run()
    return outcome, strategy, executor


def test_one_worker_gives_the_archive_of_the_plain_search(tmp_path: Path) -> None:
    events, expected = Events(), Events()
    outcome, _, _ = asynchronous(tmp_path / "a", workers=1, events=events)
    plain = search(tmp_path / "b", LENGTH, notify=expected)
    assert recorded(tmp_path / "a") == recorded(tmp_path / "b")
    assert outcome.hypervolumes == plain.hypervolumes
    assert events.summaries == expected.summaries


def test_workers_do_not_wait_and_the_strategy_knows_the_pending_candidates(tmp_path: Path) -> None:
    events = Events()
    outcome, strategy, executor = asynchronous(tmp_path, events=events)
    waiting = SimulatedWorkers(3, seconds)
    search(tmp_path / "plain", LENGTH, executor=waiting)
    assert executor.now < 0.9 * waiting.now
    ids = [evaluation.candidate.id for evaluation in outcome.evaluations]
    assert len(set(ids)) == len(ids) == 26
    assert sorted({evaluation.iteration for evaluation in outcome.evaluations}) == list(range(6))
    assert any(pending for _, pending, _ in strategy.asks)
    for rows, pending, _ in strategy.asks:
        assert len(rows) + len(pending) == 6 + 4 * strategy.asks.index((rows, pending, _))
    assert [summary.iteration for summary in events.summaries] == list(range(6))
    assert list(outcome.hypervolumes) == sorted(outcome.hypervolumes)
    assert events.summaries[-1].evaluated == 26


@pytest.mark.parametrize("cut", range(6, 26, 3))
def test_a_resumed_search_repeats_the_recorded_order(cut: int, tmp_path: Path) -> None:
    _, whole, _ = asynchronous(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    with Archive(tmp_path / "cut") as archive:
        asks = [size for size in archive.meta()[ASKS] if size <= cut]
        archive.set_meta(ASKS, asks)
        archive._connection.execute(f"DELETE FROM evaluations WHERE seq > {cut}")
    outcome, resumed, _ = asynchronous(tmp_path / "cut")
    # The calls before the interruption are repeated exactly, results in their order and pending candidates.
    assert resumed.asks[: len(asks)] == whole.asks[: len(asks)]
    assert recorded(tmp_path / "cut")[:cut] == recorded(tmp_path / "whole")[:cut]
    assert len(outcome.evaluations) == 26
    again, _, _ = asynchronous(tmp_path / "cut")
    assert again.evaluations == outcome.evaluations
    assert again.hypervolumes == outcome.hypervolumes


def test_limits_end_the_search(tmp_path: Path) -> None:
    length = SearchSettings(initial=6, iterations=5, per_iteration=4, max_evals=13)
    outcome, _, _ = asynchronous(tmp_path / "a", length)
    assert (len(outcome.evaluations), outcome.stopped) == (13, MAX_EVALS)
    small = toy_space(layers=1, exit_points=1)
    outcome, _, _ = asynchronous(
        tmp_path / "b", SearchSettings(initial=6, iterations=9, per_iteration=4), space=small
    )
    assert (len(outcome.evaluations), outcome.stopped) == (small.size(), EXHAUSTED)
