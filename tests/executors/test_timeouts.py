"""Evaluations without an answer: killed, tried once more, and recorded as failed."""

import math
import os
import signal
import threading
from pathlib import Path

import pytest

from edanas.core.errors import CandidateError, ConfigError
from edanas.core.time_limits import OverdueError, TimeLimit, _alarmed, cpu_ticks
from edanas.executors.process import Process
from edanas.executors.serial import Serial


def stop(item: tuple[str, Path]) -> str:
    """Stop the process at the item `stop`, as SIGSTOP does, as often as its file says."""
    name, attempts = item
    if name == "stop":
        with attempts.open("a") as file:
            file.write("attempt\n")
        os.kill(os.getpid(), signal.SIGSTOP)
    return name.upper()


def stop_once(item: tuple[str, Path]) -> str:
    """Stop the process at the first attempt of the item `stop`."""
    name, attempts = item
    if name == "stop" and not attempts.exists():
        attempts.touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return name.upper()


def test_a_stopped_worker_is_named_and_killed_and_its_item_fails_after_two_attempts(tmp_path: Path) -> None:
    attempts, texts, done = tmp_path / "attempts", [], threading.Event()
    executor = Process(workers=1, timeout=1.0)

    def watch() -> None:
        while not done.wait(0.05):
            texts.append(executor.waiting_for())

    thread = threading.Thread(target=watch)
    thread.start()
    answers = list(executor.run(stop, [("a", attempts), ("stop", attempts)]))
    done.set()
    thread.join()
    executor.close()
    assert answers[0] == "A"
    assert isinstance(answers[1], CandidateError)
    assert "no answer within 1 s; see executor.timeout" in str(answers[1])
    assert attempts.read_text().splitlines() == ["attempt"] * 2
    assert any(text.startswith("worker process ") for text in texts)
    assert executor.waiting_for() == ""


def test_without_a_limit_an_idle_worker_is_killed_and_the_second_attempt_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first answer there is no median; a worker that computes is never killed."""
    monkeypatch.setattr("edanas.core.time_limits.LEAST", 2.0)
    executor = Process(workers=1)
    answers = list(executor.run(stop_once, [("stop", tmp_path / "attempt")]))
    executor.close()
    assert answers == ["STOP"]


def test_the_serial_executor_gives_up_an_item_after_two_attempts() -> None:
    calls = []

    def wait(item: int) -> int:
        calls.append(item)
        if item == 1:
            threading.Event().wait()
        return item

    answers = list(Serial(timeout=0.05).run(wait, [0, 1, 2]))
    assert [answers[0], answers[2]] == [0, 2]
    assert isinstance(answers[1], CandidateError)
    assert "no answer within 0.05 s; see executor.timeout" in str(answers[1])
    assert calls == [0, 1, 1, 2]


def test_no_limit_is_left_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    assert list(Serial(timeout=60).run(abs, [-1])) == [1]
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_code_that_computes_is_not_given_up_before_a_median_is_known() -> None:
    with _alarmed(0.02, idle=True):
        for _ in range(3_000_000):
            pass
    with pytest.raises(OverdueError), _alarmed(0.02, idle=True):
        threading.Event().wait()


def test_other_threads_have_no_limit() -> None:
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.extend(Serial(timeout=1e-6).run(abs, [-1])))
    thread.start()
    thread.join()
    assert answers == [1]


def test_the_limit_follows_the_median_and_is_never_below_five_minutes() -> None:
    limit = TimeLimit(0.0)
    for seconds in (1.0, 2.0, 900.0):
        limit.record(seconds)
    assert limit.seconds == 300.0
    for seconds in (60.0, 60.0):
        limit.record(seconds)
    assert limit.seconds == 1200.0
    assert TimeLimit(7.0).seconds == 7.0


@pytest.mark.parametrize("timeout", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("executor", [Serial, Process])
def test_a_timeout_out_of_range_is_refused(executor: type, timeout: float) -> None:
    with pytest.raises(ConfigError, match=r"executor\.timeout: found"):
        executor(timeout=timeout)


def test_processor_time_of_a_process_that_does_not_exist_is_unknown() -> None:
    assert cpu_ticks(2**30) is None
    assert cpu_ticks(os.getpid()) is not None
