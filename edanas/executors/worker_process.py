"""Worker processes of the executor `process`: their start, their loop, and their end.

A worker imports torch and edanas, then waits for the name of a file and loads the function from it. It ends
with its parent.
"""

import importlib
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from edanas.core.devices import assign_gpu
from edanas.core.machine import computing


@dataclass
class Worker:
    """A worker process and its state.

    Args:
        process: The process.
        connection: The caller's end of the pipe to the process.
        number: Number of the worker, from 0; a worker that replaces another has its number.
        standby: `True` until the process is told which function to load.
        ready: `True` once the process has loaded the function.
        task: The number and the item that the process works on; `None` while it is idle.
        since: The start of the task or of the process, on the clock of `time.monotonic`. Before any answer,
            it is the time at which the process last computed.
        ticks: The processor time of the process at `since`.
    """

    process: SpawnProcess
    connection: Connection
    number: int
    standby: bool = True
    ready: bool = False
    task: tuple[int, Any] | None = None
    since: float = field(default_factory=time.monotonic)
    ticks: int | None = None

    def load(self, payload: Path) -> None:
        """Let the process load the function from a file, without waiting for it."""
        self.standby, self.since, self.ticks = False, time.monotonic(), None
        self.send(payload)

    def assign(self, task: tuple[int, Any]) -> None:
        """Send a task to the process."""
        self.task, self.since = task, time.monotonic()
        self.send(task[1])

    def send(self, value: Any) -> None:
        """Send an object to the process; if the process is dead, its closed pipe shows that later."""
        with suppress(OSError):
            self.connection.send_bytes(pickle.dumps(value))


def start_worker(number: int, threads: int, gpu: int) -> Worker:
    """Start a worker process without waiting for it.

    Args:
        number: Number of the worker.
        threads: Number of torch's threads.
        gpu: Number of the GPU on which the worker computes, if there are GPUs.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    modules = [name for name in list(sys.modules) if name.startswith("edanas.")]
    process = context.Process(target=_serve, args=(theirs, threads, gpu, modules), daemon=True)
    with _sigint_blocked():
        process.start()
    # The worker's end must be open only in the worker, so that the death of the worker closes the pipe.
    theirs.close()
    return Worker(process, ours, number)


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


def _serve(connection: Connection, threads: int, gpu: int, modules: Sequence[str]) -> None:
    """Run a worker process: the target of the processes that `start_worker` makes."""
    # Ctrl-C reaches all processes; only the parent reacts to it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    assign_gpu(gpu)
    with computing(threads):
        for name in modules:
            with suppress(ImportError):
                importlib.import_module(name)
        _answer(connection)


def _answer(connection: Connection) -> None:
    """Unpickle the function and confirm it; then apply it to each item from the pipe, and send each answer.

    The first message in the pipe is the path of the function's file. The loop ends when the pipe is closed.
    Each message sent is a pair: (True, answer), where the confirmation has `None` as its answer, or (False,
    error as text). If the function cannot be unpickled, the error is the only message.
    """
    try:
        payload: Path = pickle.loads(connection.recv_bytes())  # noqa: S301 - bytes of our own parent
    except EOFError:
        return
    try:
        function = pickle.loads(payload.read_bytes())  # noqa: S301 - as above
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
