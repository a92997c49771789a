"""Failures of candidates, workers and disks: each is recorded, or ends the run with one clear error."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_runs import TOTAL, Events, Faulty, Lottery, Serial, changed, recorded, search, throw

from edanas.core.archive import Archive
from edanas.core.engine import SearchOutcome
from edanas.core.errors import CandidateError, RunError
from edanas.core.types import Evaluation, Metrics
from edanas.testing.toy_search import ToyAccuracy, ToyCost


class OutOfMemoryError(RuntimeError):
    """An error with the name of torch's error for a full device."""


FAULTS: dict[str, tuple[Callable[[Metrics], Any], str]] = {
    "exception": (
        throw(ValueError("kernel 4:\n  not in the supernet")),
        "ValueError: kernel 4: not in the supernet",
    ),
    "bare": (throw(ZeroDivisionError()), "ZeroDivisionError"),
    "memory": (throw(MemoryError()), "MemoryError"),
    "device": (throw(OutOfMemoryError("CUDA out of memory.")), "OutOfMemoryError: CUDA out of memory."),
    "exit": (throw(SystemExit(3)), "SystemExit: 3"),
    "nan": (
        changed(accuracy=float("nan")),
        "CandidateError: metrics: accuracy is nan; allowed: finite numbers",
    ),
    "infinite": (
        changed(utilization=(0.5, float("inf"), 0.5)),
        "CandidateError: metrics: utilization is inf; allowed: finite numbers",
    ),
    "type": (lambda metrics: metrics.accuracy, "TypeError: the evaluation returned float; expected Metrics"),
    "text": (changed(params={3}), "TypeError: metrics hold set; expected numbers"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_failed_candidate_is_recorded_and_the_search_continues(
    name: str, tmp_path: Path, whole: tuple[SearchOutcome, list[Any], Events]
) -> None:
    fault, text = FAULTS[name]
    strategy, events = Lottery(), Events()
    outcome = search(tmp_path, evaluator=Faulty({2: fault, 7: fault}), strategy=strategy, notify=events)
    assert len(outcome.evaluations) == TOTAL
    assert [i for i, e in enumerate(outcome.evaluations) if not e.ok] == [2, 7]
    assert {outcome.evaluations[i].error for i in (2, 7)} == {text}
    assert np.isnan(strategy.values[2]).all()
    assert np.isfinite(np.delete(strategy.values, (2, 7), axis=0)).all()
    assert [s.failed for s in events.summaries] == [1, 2, 2, 2]
    # Each result belongs to its candidate.
    assert [e.candidate for e in outcome.evaluations] == [e.candidate for e in whole[0].evaluations]
    assert outcome.evaluations[8:] == whole[0].evaluations[8:]
    # A failure in the archive is a failure again.
    again = search(tmp_path, strategy=(resumed := Lottery()))
    assert again.evaluations == outcome.evaluations
    np.testing.assert_array_equal(resumed.values, strategy.values)


def test_a_very_long_error_is_truncated(tmp_path: Path) -> None:
    outcome = search(tmp_path, evaluator=Faulty({0: throw(ValueError("x" * 10_000))}))
    assert outcome.evaluations[0].error == f"ValueError: {'x' * 488}"


def test_an_objective_without_a_number_is_a_failure(tmp_path: Path) -> None:
    class Ratio(ToyCost):
        def value(self, metrics: Metrics) -> float:
            if metrics.params == 0:
                raise ZeroDivisionError("no parameters")
            return float("inf") if metrics.params == 1 else metrics.ada_macs / metrics.params

    outcome = search(
        tmp_path,
        evaluator=Faulty({1: changed(params=0), 3: changed(params=1)}),
        objectives=(ToyAccuracy(), Ratio()),
    )
    errors = [e.error for e in outcome.evaluations]
    assert errors[1] == "ZeroDivisionError: no parameters"
    assert errors[3] == "CandidateError: objective Ratio is inf; allowed: a finite number"
    assert [i for i, e in enumerate(errors) if e] == [1, 3]
    assert outcome.evaluations[1].metrics is None


def test_numbers_of_numpy_are_recorded_as_numbers_of_python(tmp_path: Path) -> None:
    fault = changed(accuracy=np.float32(0.1), params=np.int64(7), utilization=[np.float64(0.25), 0.5, 0.25])
    outcome = search(tmp_path, evaluator=Faulty({0: fault}))
    metrics = outcome.evaluations[0].metrics
    assert metrics is not None
    assert metrics.utilization == (0.25, 0.5, 0.25)
    assert (type(metrics.accuracy), type(metrics.params)) == (float, int)
    assert metrics.accuracy == float(np.float32(0.1))
    assert recorded(tmp_path)[0][1] == outcome.evaluations[0]


def test_a_candidate_whose_worker_died_is_a_failure(tmp_path: Path) -> None:
    class Deadly(Serial):
        def run(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
            for index, answer in enumerate(super().run(function, items)):
                yield CandidateError("two worker processes died") if index == 1 else answer

    outcome = search(tmp_path, executor=Deadly())
    assert [e.error for e in outcome.evaluations if not e.ok] == [
        "CandidateError: two worker processes died"
    ] * 4
    assert [i for i, e in enumerate(outcome.evaluations) if not e.ok] == [1, 7, 11, 15]


def test_a_run_without_a_success_ends_with_the_most_frequent_error(tmp_path: Path) -> None:
    faults = {i: throw(ValueError("no such kernel")) for i in range(6)} | {3: throw(MemoryError())}
    for _ in range(2):  # at once, and when it is resumed
        with pytest.raises(
            CandidateError, match=r"none of the 6 .*\(5 times\) is ValueError: no such kernel"
        ):
            search(tmp_path, evaluator=Faulty(faults))
        assert len(recorded(tmp_path)) == 6


def test_one_success_is_enough(tmp_path: Path) -> None:
    faults = {i: throw(MemoryError()) for i in range(TOTAL) if i != 4}
    outcome = search(tmp_path, evaluator=Faulty(faults))
    assert [e.ok for e in outcome.evaluations] == [i == 4 for i in range(TOTAL)]
    assert outcome.hypervolumes[0] > 0


def test_a_full_disk_ends_the_run_and_the_next_run_resumes(
    tmp_path: Path, whole: tuple[SearchOutcome, list[Any], Events], monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Archive.append

    def limited(self: Archive, evaluation: Evaluation, genome: np.ndarray) -> None:
        if self.count() == 9:
            self._connection.execute("PRAGMA max_page_count = 1")
            evaluation = Evaluation(evaluation.candidate, 1, None, "x" * 100_000)
        append(self, evaluation, genome)

    executor = Serial()
    with monkeypatch.context() as patch:
        patch.setattr(Archive, "append", limited)
        with pytest.raises(RunError, match="disk is full"):
            search(tmp_path, executor=executor)
    assert executor.closed
    assert len(recorded(tmp_path)) == 9
    search(tmp_path)
    assert recorded(tmp_path) == whole[1]


def test_a_run_killed_before_it_records_an_iteration_has_the_same_notes(
    tmp_path: Path, whole: tuple[SearchOutcome, list[Any], Events]
) -> None:
    class Killing(Events):
        def __call__(self, event: str, **values: Any) -> None:
            super().__call__(event, **values)
            if len(self.evaluated) == 10:
                raise SystemExit

    with pytest.raises(SystemExit):
        search(tmp_path, notify=Killing())
    events = Events()
    assert search(tmp_path, notify=events).evaluations == whole[0].evaluations
    assert [summary.notes for summary in events.summaries] == [
        summary.notes for summary in whole[2].summaries[1:]
    ]
