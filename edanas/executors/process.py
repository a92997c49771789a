"""Evaluations in worker processes of this machine.

Each worker is a fresh interpreter ("spawn") at the end of a pipe. It receives the function once, then one
item at a time, so that a worker that dies is known by the item it held. Bytes on the pipe are plain pickles:
the pickler of `multiprocessing` would share tensors' memory, and a worker's death would take it along.
"""

import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import torch

from edanas.core.contracts import Executor
from edanas.core.contracts.running import Answer, Item
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.machine import computing

_Task = tuple[int, Any]


@dataclass
class _Worker:
    """A process, our end of its pipe, and the task it holds; not ready before it has its function."""

    process: SpawnProcess
    connection: Connection
    ready: bool = False
    task: _Task | None = None


class Process(Executor):
    """Evaluates several candidates at once, in worker processes of this machine.

    Args:
        workers: How many processes.
        threads: Threads of torch in each; 0 = as many as the calling process has, so that sums are added in
            the same order and the archive equals that of `serial` to the last bit.

    Raises:
        ConfigError: An option is out of range. On running: the function cannot be sent to a worker, or
            workers cannot start.
    """

    def __init__(self, workers: int = 2, threads: int = 0) -> None:
        if workers < 1:
            raise ConfigError(f"executor.workers: found {workers}; allowed: 1 or more")
        if threads < 0:
            raise ConfigError(f"executor.threads: found {threads}; allowed: 0 (as the caller) or more")
        self.workers = workers
        self.threads = threads
        self._function: Callable[..., Any] | None = None
        self._payload = b""
        self._pool: list[_Worker] = []

    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """See `Executor.run`; at most `workers + 1` items are taken and not yet answered.

        An item whose worker died gets a second worker, since memory may have been short only because several
        candidates were large at once. If that one dies too, the item's answer is a `CandidateError`.
        """
        self._ship(function)
        source = enumerate(items)
        pending: deque[_Task] = deque()
        answers: dict[int, Any] = {}
        died: set[int] = set()
        taken = given = 0
        try:
            while True:
                fresh = list(islice(source, self.workers + 1 - (taken - given)))
                taken += len(fresh)
                pending.extend(fresh)
                self._assign(pending)
                if given in answers:
                    yield answers.pop(given)
                    given += 1
                elif given == taken:
                    return
                else:
                    self._collect(pending, answers, died)
        finally:
            # An answer that arrives after its run was left would be taken for one of the next run.
            if any(worker.task for worker in self._pool):
                self.close()

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        for worker in self._pool:
            worker.process.kill()
        for worker in self._pool:
            worker.process.join()
            worker.connection.close()
        self._pool.clear()

    def _ship(self, function: Callable[..., Any]) -> None:
        """Make `function` the one that workers have."""
        if function is self._function:
            return
        self.close()
        try:
            self._payload = pickle.dumps(function, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            raise ConfigError(
                f"executor: 'process' sends the evaluation to its workers, and it cannot be pickled "
                f"({type(error).__name__}: {error}); use 'serial'"
            ) from error
        self._function = function

    def _assign(self, pending: deque[_Task]) -> None:
        """Give pending tasks to idle workers, and start as many workers as there is work for."""
        for worker in self._pool:
            if pending and worker.ready and worker.task is None:
                worker.task = pending.popleft()
                with suppress(OSError):  # it died idle: `_collect` will find the pipe at its end
                    worker.connection.send_bytes(pickle.dumps(worker.task[1]))
        starting = sum(not worker.ready for worker in self._pool)
        for _ in range(min(len(pending) - starting, self.workers - len(self._pool))):
            self._pool.append(_start(self._payload, self.threads or torch.get_num_threads()))

    def _collect(self, pending: deque[_Task], answers: dict[int, Any], died: set[int]) -> None:
        """Wait until a worker has something to say, and listen to all that have."""
        by_connection = {worker.connection: worker for worker in self._pool}
        for connection in wait(list(by_connection)):
            worker = by_connection[connection]  # type: ignore[index] # a pipe's end, as was given to `wait`
            try:
                well, value = pickle.loads(worker.connection.recv_bytes())  # noqa: S301 - our own worker's bytes
            except (EOFError, OSError):
                self._bury(worker, pending, answers, died)
                continue
            if not worker.ready:
                if not well:
                    raise ConfigError(f"executor: a worker of 'process' cannot start: {value}; use 'serial'")
                worker.ready = True
            elif worker.task is not None:
                if not well:
                    raise RuntimeError(value)
                answers[worker.task[0]] = value
                worker.task = None

    def _bury(self, worker: _Worker, pending: deque[_Task], answers: dict[int, Any], died: set[int]) -> None:
        """Take a dead worker out of the pool; its task is tried once more."""
        worker.connection.close()
        worker.process.join()
        self._pool.remove(worker)
        cause = _cause(worker.process.exitcode)
        if not worker.ready:
            raise ConfigError(
                f"executor: a worker of 'process' ended before it began ({cause}); a script that searches "
                "does so under `if __name__ == '__main__':`, or uses 'serial'"
            )
        if worker.task is None:
            return
        index = worker.task[0]
        if index in died:
            answers[index] = CandidateError(f"two worker processes died on this candidate ({cause})")
        else:
            died.add(index)
            pending.appendleft(worker.task)


def _start(payload: bytes, threads: int) -> _Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, payload, threads), daemon=True)
    with _sigint_blocked():
        process.start()
    # Without a copy of the far end here, the worker's death is the pipe's end.
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """What starts here never sees Ctrl-C, not even while it imports; for this process it is only put off."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The first start of a process starts this too, which would lift the block.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, payload: bytes, threads: int) -> None:
    """A worker's life."""
    # Ctrl-C reaches all processes; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with computing(threads):
        _answer(connection, payload)


def _answer(connection: Connection, payload: bytes) -> None:
    """The function, then items and answers, until the pipe ends."""
    try:
        function = pickle.loads(payload)  # noqa: S301 - our own parent's bytes
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
    """A killed parent's workers must not go on computing beside the run that resumes."""
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
    """The executor `process`."""
    return {"process": Process}
