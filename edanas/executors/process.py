"""The executor `process`: evaluations in worker processes of this machine.

Each worker is a new Python process ("spawn"), connected by a pipe. A worker receives the function once, then
one item at a time, so that the item of a worker that dies is known. Large tensors, such as the images of a
run, are files that all workers map into memory. The pipe carries plain pickles of the rest: the pickler of
`multiprocessing` would share the memory of tensors, which is lost when the worker dies.
"""

import os
import pickle
import shutil
import signal
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import torch

from edanas.core.contracts import Executor
from edanas.core.contracts.running import Answer, Item
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.machine import computing
from edanas.core.time_limits import TimeLimit, cpu_ticks
from edanas.executors.shared_tensors import dumps

_Task = tuple[int, Any]

_POLL = 5.0
"""Seconds between two checks of the workers' times."""


@dataclass
class _Worker:
    """A worker process and its state.

    Args:
        process: The process.
        connection: The caller's end of the pipe to the process.
        ready: `True` once the process has loaded the function.
        task: The number and the item that the process works on; `None` while it is idle.
        since: The start of the task or of the process, on the clock of `time.monotonic`. Before any answer,
            it is the time at which the process last computed.
        ticks: The processor time of the process at `since`.
    """

    process: SpawnProcess
    connection: Connection
    ready: bool = False
    task: _Task | None = None
    since: float = field(default_factory=time.monotonic)
    ticks: int | None = None


class Process(Executor):
    """Evaluate several candidates at once, in worker processes of this machine.

    Args:
        workers: The number of worker processes, 1 or more; 2 by default.
        threads: The number of torch threads in each worker process; 0, the default, for the number in the
            calling process. With the default, sums are added in the same order as with the executor `serial`,
            and both archives are equal bit for bit.
        timeout: The largest number of seconds for one candidate; by default 0, for 20 times the median so
            far and at least 5 minutes. A worker without an answer is killed.

    Raises:
        ConfigError: An option is out of range. The method `run` raises it if the function cannot be pickled
            or a worker cannot start.

    Example:
        >>> from edanas.core.errors import ConfigError
        >>> try:
        ...     Process(workers=0)
        ... except ConfigError as error:
        ...     print(error)
        executor.workers: found 0; allowed: 1 or more
    """

    def __init__(self, workers: int = 2, threads: int = 0, timeout: float = 0.0) -> None:
        if workers < 1:
            raise ConfigError(f"executor.workers: found {workers}; allowed: 1 or more")
        if threads < 0:
            raise ConfigError(
                f"executor.threads: found {threads}; allowed: 0 (the number in the calling process) or more"
            )
        self.workers = workers
        self.threads = threads
        self.timeout, self._limit, self._stalled = timeout, TimeLimit(timeout), False
        self._function: Callable[..., Any] | None = None
        self._payload = b""
        self._delete_folder: weakref.finalize[..., Process] | None = None
        self._pool: list[_Worker] = []

    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """See `Executor.run`. At most `workers + 1` items are in progress.

        An item whose worker died or was killed for its time is tried once more, because memory may have been
        short only while several candidates were large. If the second worker dies too, the item's answer is a
        `CandidateError`.
        """
        self._ship(function)
        source = enumerate(items)
        pending: deque[_Task] = deque()
        answers: dict[int, Any] = {}
        died: set[int] = set()
        started = finished = 0
        try:
            while True:
                fresh = list(islice(source, self.workers + 1 - (started - finished)))
                started += len(fresh)
                pending.extend(fresh)
                self._assign(pending)
                if finished in answers:
                    yield answers.pop(finished)
                    finished += 1
                elif finished == started:
                    return
                else:
                    self._collect(pending, answers, died)
        finally:
            # A late answer to an unfinished item would be mistaken for an answer of the next run.
            if any(worker.task for worker in self._pool):
                self.close()

    def waiting_for(self) -> str:
        """See `Executor.waiting_for`."""
        now = time.monotonic()
        busy = [worker for worker in list(self._pool) if worker.task is not None or not worker.ready]
        return ", ".join(
            f"worker process {worker.process.pid} for {now - worker.since:.0f} s"
            f"{' (candidate ' + name + ')' if (name := _name(worker.task)) else ''}"
            for worker in busy
        )

    def close(self) -> None:
        """Kill all worker processes."""
        for worker in self._pool:
            worker.process.kill()
        for worker in self._pool:
            worker.process.join()
            worker.connection.close()
        self._pool.clear()

    def _ship(self, function: Callable[..., Any]) -> None:
        """Pickle the function for the workers; kill workers that hold another function.

        Raises:
            ConfigError: The function cannot be pickled.
        """
        if function is self._function:
            return
        self.close()
        try:
            self._payload = dumps(function, self._new_folder())
        except Exception as error:
            raise ConfigError(
                f"executor: 'process' sends the evaluation to its workers, but it cannot be pickled "
                f"({type(error).__name__}: {error}); use 'serial'"
            ) from error
        self._function = function

    def _new_folder(self) -> Path:
        """Return an empty folder for tensors that the workers share; an older one is deleted."""
        if self._delete_folder is not None:
            self._delete_folder()
        folder = tempfile.mkdtemp(prefix="edanas-")
        self._delete_folder = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def _assign(self, pending: deque[_Task]) -> None:
        """Send pending tasks to idle workers, and start workers for the other tasks, up to `workers`."""
        for worker in self._pool:
            if pending and worker.ready and worker.task is None:
                worker.task, worker.since = pending.popleft(), time.monotonic()
                with suppress(OSError):  # the worker died while idle; `_collect` removes it
                    worker.connection.send_bytes(pickle.dumps(worker.task[1]))
        starting = sum(not worker.ready for worker in self._pool)
        for _ in range(min(len(pending) - starting, self.workers - len(self._pool))):
            self._pool.append(_start(self._payload, self.threads or torch.get_num_threads()))

    def _collect(self, pending: deque[_Task], answers: dict[int, Any], died: set[int]) -> None:
        """Wait for a message from any worker, and handle all messages that have arrived.

        Args:
            pending: The tasks that no worker has.
            answers: The answers so far, by number of the item; the method adds to it.
            died: The numbers of the items whose worker died once.

        Raises:
            ConfigError: A worker cannot start.
            RuntimeError: The function raised an error.
        """
        by_connection = {worker.connection: worker for worker in self._pool}
        ready = wait(list(by_connection), timeout=min(_POLL, self._limit.seconds / 4))
        if not ready:
            self._end_overdue(pending, answers, died)
        for connection in ready:
            worker = by_connection[connection]  # type: ignore[index] # `wait` returns its arguments
            try:
                succeeded, value = pickle.loads(worker.connection.recv_bytes())  # noqa: S301 - bytes of our own worker
            except (EOFError, OSError):
                self._remove(worker, pending, answers, died)
                continue
            if not worker.ready:
                if not succeeded:
                    raise ConfigError(f"executor: a worker of 'process' cannot start: {value}; use 'serial'")
                worker.ready = True
            elif worker.task is not None:
                if not succeeded:
                    raise RuntimeError(value)
                self._limit.record(time.monotonic() - worker.since)
                answers[worker.task[0]] = value
                worker.task = None

    def _end_overdue(self, pending: deque[_Task], answers: dict[int, Any], died: set[int]) -> None:
        """Kill the workers that are over their time; arguments as for `_collect`.

        Before the first answer, and while a worker starts, the time counts from the last moment at which the
        worker computed.
        """
        now = time.monotonic()
        for worker in [each for each in self._pool if each.task is not None or not each.ready]:
            if not (self._limit.is_known and worker.ready):
                ticks = cpu_ticks(worker.process.pid)
                if ticks is None or ticks != worker.ticks:
                    worker.ticks, worker.since = ticks, now
            if now - worker.since > self._limit.seconds:
                worker.process.kill()
                cause = f"no answer within {self._limit.seconds:g} s; see executor.timeout"
                if not worker.ready and not self._stalled:
                    # A worker may be stopped while it starts; another one is started, once.
                    self._stalled = True
                    worker.connection.close()
                    worker.process.join()
                    self._pool.remove(worker)
                else:
                    self._remove(worker, pending, answers, died, cause)

    def _remove(
        self,
        worker: _Worker,
        pending: deque[_Task],
        answers: dict[int, Any],
        died: set[int],
        cause: str = "",
    ) -> None:
        """Remove a dead worker from the pool; its task becomes pending again, once.

        Args:
            worker: The worker.
            pending: See `_collect`.
            answers: See `_collect`.
            died: See `_collect`.
            cause: The reason for its death; by default, its exit code.

        Raises:
            ConfigError: The worker died before it was ready.
        """
        worker.connection.close()
        worker.process.join()
        self._pool.remove(worker)
        cause = cause or _cause(worker.process.exitcode)
        if not worker.ready:
            raise ConfigError(
                f"executor: a worker of 'process' ended before it was ready ({cause}); in a script, call "
                "`edanas.search` under `if __name__ == '__main__':`, or use 'serial'"
            )
        if worker.task is None:
            return
        index = worker.task[0]
        if index in died:
            answers[index] = CandidateError(f"two worker processes died on this candidate ({cause})")
        else:
            died.add(index)
            pending.appendleft(worker.task)


def _name(task: _Task | None) -> str:
    """Return the id of the candidate in a task; empty if the task has another item, or there is none."""
    return str(getattr(task[1], "id", "")) if task is not None else ""


def _start(payload: bytes, threads: int) -> _Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, payload, threads), daemon=True)
    with _sigint_blocked():
        process.start()
    # The worker's end must be open only in the worker, so that the death of the worker closes the pipe.
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block Ctrl-C in processes that start in this context, from their start on; delay it in this process."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The resource tracker starts with the first process, and its start would unblock the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, payload: bytes, threads: int) -> None:
    """Run a worker process: the target of the processes that `_start` makes."""
    # Ctrl-C reaches all processes; only the parent reacts to it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with computing(threads):
        _answer(connection, payload)


def _answer(connection: Connection, payload: bytes) -> None:
    """Unpickle the function and confirm it; then apply it to each item from the pipe, and send each answer.

    The loop ends when the pipe is closed. Each message sent is a pair: (True, answer), where the confirmation
    has `None` as its answer, or (False, error as text). If the function cannot be unpickled, the error is the
    only message.
    """
    try:
        function = pickle.loads(payload)  # noqa: S301 - bytes of our own parent
    except Exception as error:
        connection.send_bytes(_reply((False, f"{type(error).__name__}: {error}")))
        return
    connection.send_bytes(_reply((True, None)))
    while True:
        try:
            item = pickle.loads(connection.recv_bytes())  # noqa: S301 - as above
        except EOFError:
            return
        try:
            reply = _reply((True, function(item)))
        except Exception as error:
            reply = _reply((False, f"{type(error).__name__}: {error}"))
        connection.send_bytes(reply)


def _reply(message: tuple[bool, Any]) -> bytes:
    return pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)


def _end_with_parent() -> None:
    """End this worker with its parent: workers of a killed run must not compute beside the resumed run."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"killed by {signal.Signals(-exitcode).name}"
    return f"exit code {exitcode}"


@hookimpl
def edanas_executors() -> Mapping[str, Callable[..., Executor]]:
    """Register the executor `process`."""
    return {"process": Process}
