"""A search in its own process, to be killed."""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edanas.core import archive as archive_module
from edanas.core.archive import Archive
from edanas.core.contracts import Executor
from edanas.core.engine import Engine, SearchOutcome, SearchSetup
from edanas.core.errors import EdanasError
from edanas.core.progress import Silent
from edanas.core.runfolder import RunLock
from edanas.core.settings import SearchSettings
from edanas.core.types import Candidate, Evaluation, Metrics
from edanas.executors.process import Process
from edanas.executors.serial import Serial
from edanas.strategies.random_search import RandomSearch
from edanas.testing.toy_search import ToyAccuracy, ToyCost, ToyEvaluator, toy_problem, toy_space

LENGTH = SearchSettings(initial=5, iterations=3, per_iteration=4)
TOTAL = 17


class Evaluator(ToyEvaluator):
    """Fails on some candidates, so that failures are resumed as well."""

    def evaluate(self, candidate: Candidate) -> Metrics:
        if candidate.backbone["depth"] == 2:
            raise ValueError("two layers are one too few")
        return super().evaluate(candidate)


def search(folder: Path, notify: Callable[..., None], executor: Executor | None = None) -> SearchOutcome:
    space = toy_space()
    strategy = RandomSearch()
    strategy.start(toy_problem(space, seed=3, initial=LENGTH.initial))
    objectives = (ToyAccuracy(), ToyCost())
    with RunLock(folder), Archive(folder) as archive:
        setup = SearchSetup(space, strategy, Evaluator(), executor or Serial(), objectives, LENGTH)
        return Engine(setup, archive, notify, Silent()).run()


def run(folder: Path, workers: int, pause: int) -> None:
    """Print a line for each evaluation; after `pause` of them, wait for a line on standard input."""
    printed = 0

    def notify(event: str, evaluation: Evaluation | None = None, **_: Any) -> None:
        nonlocal printed
        if evaluation is not None:
            print(evaluation.candidate.id, flush=True)
            printed += 1
            if printed == pause:
                sys.stdin.readline()

    search(folder, notify, Process(workers) if workers else Serial())


def sweep(folder: Path) -> None:
    """Search in one child process after the other; the n-th is killed before the n-th statement of SQLite.

    Prints the number of killed children before one finished. Forked children need not import anything.
    """
    connect = sqlite3.connect
    killed = 0
    while True:
        child = os.fork()
        if child == 0:
            left = killed

            def before(statement: str) -> None:
                nonlocal left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1

            def traced(*values: Any, **options: Any) -> sqlite3.Connection:
                connection = connect(*values, **options)
                connection.set_trace_callback(before)
                return connection

            archive_module.sqlite3.connect = traced  # type: ignore[assignment]
            search(folder / str(killed), lambda *_, **__: None)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            print(killed, flush=True)
            return
        killed += 1


def exit_code(call: Callable[[], None]) -> int:
    """Return the exit code of a command that makes the call."""
    try:
        call()
    except EdanasError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
