"""Worker processes: the same answers as in this process, and what happens when one dies or cannot begin."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import torch

from edanas.core.archive import Archive
from edanas.core.contracts import Executor
from edanas.core.engine import Engine, SearchOutcome, SearchSetup
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.progress import Silent
from edanas.core.settings import SearchSettings
from edanas.core.types import Candidate, Metrics
from edanas.executors.process import Process
from edanas.executors.serial import Serial
from edanas.strategies.random_search import RandomSearch
from edanas.testing.toy_search import ToyAccuracy, ToyCost, ToyEvaluator, toy_problem, toy_space


class Sums(ToyEvaluator):
    """Fails now and then, and reports how many threads torch has where it runs."""

    def evaluate(self, candidate: Candidate) -> Metrics:
        if candidate.backbone["depth"] == 2:
            raise ValueError("two layers are one too few")
        metrics = super().evaluate(candidate)
        return Metrics(**{**metrics.__dict__, "params": torch.get_num_threads()})


def search(folder: Path, executor: Executor) -> SearchOutcome:
    space = toy_space()
    strategy = RandomSearch()
    strategy.start(toy_problem(space, initial=5))
    length = SearchSettings(initial=5, iterations=2, per_iteration=4)
    objectives = (ToyAccuracy(), ToyCost())
    with Archive(folder) as archive:
        setup = SearchSetup(space, strategy, Sums(), executor, objectives, length)
        return Engine(setup, archive, lambda *_, **__: None, Silent()).run()


def test_the_archive_is_that_of_the_serial_executor(tmp_path: Path) -> None:
    result = search(tmp_path / "process", Process())
    expected = search(tmp_path / "serial", Serial())
    assert result.evaluations == expected.evaluations
    assert result.hypervolumes == expected.hypervolumes
    assert {e.ok for e in result.evaluations} == {True, False}


def fatal(item: tuple[str, Path]) -> str:
    """Ends its process at the item `fatal`, as the system does when memory is short."""
    name, attempts = item
    if name == "fatal":
        with attempts.open("a") as file:
            file.write("attempt\n")
        os.kill(os.getpid(), signal.SIGKILL)
    return name.upper()


def test_a_workers_death_is_its_items_alone(tmp_path: Path) -> None:
    attempts = tmp_path / "attempts"
    items_read: list[str] = []

    def items() -> Iterator[tuple[str, Path]]:
        for name in ("a", "fatal", "b", "c", "d"):
            items_read.append(name)
            yield name, attempts

    executor = Process(workers=1)
    answers: list[Any] = []
    for answer in executor.run(fatal, items()):
        answers.append(answer)
        assert len(items_read) <= len(answers) + executor.workers + 1
    executor.close()
    assert [answers[0], *answers[2:]] == ["A", "B", "C", "D"]
    assert isinstance(answers[1], CandidateError)
    assert str(answers[1]) == "two worker processes died on this candidate (killed by SIGKILL)"
    assert attempts.read_text().splitlines() == ["attempt"] * 2


class Unloadable:
    """A function that can be sent but not received."""

    def __init__(self, *, at_all: bool) -> None:
        self.at_all = at_all

    def __call__(self, item: int) -> int:
        return item

    def __setstate__(self, state: dict[str, Any]) -> Self:
        if state["at_all"]:
            raise OSError("no such supernet file")
        os._exit(7)


@pytest.mark.parametrize(
    ("at_all", "text"),
    [(True, "cannot start: OSError: no such supernet file"), (False, r"before it was ready \(exit code 7\)")],
)
def test_workers_that_cannot_begin_end_the_run(at_all: bool, text: str) -> None:
    executor = Process(workers=1)
    with pytest.raises(ConfigError, match=text):
        list(executor.run(Unloadable(at_all=at_all), [1, 2]))
    executor.close()


def test_a_function_that_cannot_be_sent_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"executor: 'process' .* cannot be pickled .*; use 'serial'"):
        list(Process().run(lambda item: item, [1]))


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 2**31}, {"threads": -1}, {"threads": 2**31}])
def test_options_out_of_range_are_named(options: dict[str, int]) -> None:
    (name, value), *_ = options.items()
    with pytest.raises(ConfigError, match=f"executor.{name}: found {value}; allowed"):
        Process(**options)


def pid_of(_: int) -> int:
    return os.getpid()


@pytest.mark.parametrize("killed", [False, True])
def test_a_worker_that_started_early_does_the_work_unless_it_was_killed(killed: bool) -> None:
    executor = Process(workers=1, threads=1)
    try:
        executor.start()
        (early,) = (worker.process for worker in executor._pool)
        assert executor.waiting_for() == ""
        if killed:
            early.kill()
            early.join()
        pids = set(executor.run(pid_of, range(3)))
    finally:
        executor.close()
    assert (early.pid in pids) is not killed
