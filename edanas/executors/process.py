"""The executor `process`: evaluations in worker processes of this machine.

Each worker is a new Python process ("spawn"), connected by a pipe. A worker loads the function once, from a
file, so that all workers start at the same time; then it receives one item at a time, so that the item of a
worker that dies is known. Large tensors, such as the images of a run, are files that all workers map into
memory. Other objects are in a plain pickle. (The pickler of `multiprocessing` would share the memory of
tensors, which is lost when the worker dies.)
"""

import math
import pickle
import shutil
import signal
import tempfile
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import islice
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch

from edanas.core.contracts import Executor
from edanas.core.contracts.running import Answer, Item
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.machine import usable_cores
from edanas.core.time_limits import StepLimits, TimeLimit, cpu_ticks
from edanas.executors.answer_order import in_order
from edanas.executors.shared_tensors import dumps
from edanas.executors.worker_process import Worker, start_worker

_Task = tuple[int, Any]

_POLL = 5.0
"""Seconds between two checks of the workers' times."""

_MOST = 4096
"""Largest number of workers, and of threads of a worker, as for the setting `threads`."""


class WorkerStartError(ConfigError):
    """The function cannot be sent to worker processes, or a worker cannot start."""


class Process(Executor):
    """Evaluate several candidates at once, in worker processes of this machine.

    Args:
        workers: The number of worker processes, 1 or more; 2 by default.
        threads: The number of torch threads in each worker process; 0, the default, for the number in the
            calling process. With the default, sums are added in the same order as with the executor `serial`,
            and both archives are equal bit for bit.
        timeout: The largest number of seconds for one candidate; by default 0, for 20 times the median so
            far and at least 5 minutes. A worker without an answer is killed.
        gpus: The share of a GPU that a worker takes, up to 1; by default 0, to spread the workers evenly over
            all GPUs of the machine.
        asynchronous: True to give a free worker the next candidate at once, instead of waiting for the end of
            each iteration. The search then depends on durations, so that two runs differ.

    Raises:
        ConfigError: An option is out of range. The method `run` raises it if the function cannot be pickled
            or a worker cannot start.

    Example:
        >>> from edanas.core.errors import ConfigError
        >>> try:
        ...     Process(workers=0)
        ... except ConfigError as error:
        ...     print(error)
        executor.workers: found 0; allowed: 1 to 4096
    """

    def __init__(
        self,
        workers: int = 2,
        threads: int = 0,
        timeout: float = 0.0,
        gpus: float = 0.0,
        asynchronous: bool = False,  # noqa: FBT001, FBT002 - settings pass options by name
    ) -> None:
        if not 1 <= workers <= _MOST:
            raise ConfigError(f"executor.workers: found {workers}; allowed: 1 to {_MOST}")
        if not 0 <= threads <= _MOST:
            raise ConfigError(
                f"executor.threads: found {threads}; allowed: 0 (as the calling process) to {_MOST}"
            )
        self.workers, self.threads, self.asynchronous = workers, threads, asynchronous
        self._workers_per_gpu = workers_per_gpu(gpus, workers)
        self.timeout, self._limits, self._stalled = timeout, StepLimits(timeout), False
        self._function: Callable[..., Any] | None = None
        self._payload = Path()
        self._delete_folder: weakref.finalize[..., Process] | None = None
        self._pool: list[Worker] = []

    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """See `Executor.run`. At most `workers + 1` items are in progress.

        An item whose worker died or was killed for its time is tried once more, because memory may have been
        short only while several candidates were large. If the second worker dies too, the item's answer is a
        `CandidateError`.
        """
        return in_order(lambda most: self._stream(function, items, most), self.workers + 1)

    def as_completed(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[tuple[int, Answer | CandidateError]]:
        """See `Executor.as_completed`. At most `workers` items are in progress."""
        return self._stream(function, items, lambda: self.workers)

    def _stream(
        self, function: Callable[..., Any], items: Iterable[Any], most: Callable[[], int]
    ) -> Generator[tuple[int, Any], None, None]:
        """Yield the number and the result of each item, in the order of the results.

        Args:
            function: The function.
            items: The items.
            most: Returns the largest number of items without a result that may be drawn.
        """
        source = enumerate(items)
        pending: deque[_Task] = deque()
        answers: dict[int, Any] = {}
        died: set[int] = set()
        open_items = 0
        try:
            while True:
                fresh = list(islice(source, max(0, most() - open_items)))
                open_items += len(fresh)
                if not open_items:
                    return
                self._ship(function)
                pending.extend(fresh)
                self._assign(pending)
                self._collect(pending, answers, died)
                # The freed worker goes on while the caller handles the answer.
                self._assign(pending)
                for number in sorted(answers):
                    open_items -= 1
                    yield number, answers.pop(number)
        finally:
            # A late answer to an unfinished item would be mistaken for an answer of the next run.
            if any(worker.task for worker in self._pool):
                self.close()

    def start(self) -> None:
        """See `Executor.start`: start all workers, but no more than there are cores."""
        if self._function is None:
            for _ in range(min(self.workers, usable_cores()) - len(self._pool)):
                self._start_worker()

    def waiting_for(self) -> str:
        """See `Executor.waiting_for`."""
        now = time.monotonic()
        busy = [each for each in list(self._pool) if each.task or not (each.ready or each.standby)]
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
        """Pickle the function for the workers, and let them load it; kill workers that hold another one.

        Raises:
            WorkerStartError: The function cannot be pickled.
        """
        if function is self._function:
            return
        if self._function is not None:
            self.close()
        try:
            folder = self._new_folder()
            self._payload = folder / "function.pickle"
            self._payload.write_bytes(dumps(function, folder))
        except Exception as error:
            raise WorkerStartError(
                f"executor: 'process' sends the evaluation to its workers, but it cannot be pickled "
                f"({type(error).__name__}: {error}); use 'serial'"
            ) from error
        self._function = function
        for worker in list(self._pool):
            if (worker.process.exitcode or 0) < 0:  # killed while it waited, e.g. for lack of memory
                worker.connection.close()
                self._pool.remove(worker)
            else:
                worker.load(self._payload)

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
                worker.assign(pending.popleft())
        starting = sum(not worker.ready for worker in self._pool)
        for _ in range(min(len(pending) - starting, self.workers - len(self._pool))):
            self._start_worker().load(self._payload)

    def _start_worker(self) -> Worker:
        """Start a worker with the lowest free number, which loads no function yet.

        Raises:
            WorkerStartError: The system starts no process.
        """
        number = min(set(range(self.workers)) - {worker.number for worker in self._pool})
        gpu = number // self._workers_per_gpu if self._workers_per_gpu else number
        try:
            worker = start_worker(number, self.threads or torch.get_num_threads(), gpu)
        except (OSError, AssertionError) as error:  # multiprocessing asserts that its own workers start none
            raise WorkerStartError(
                f"executor: a worker of 'process' cannot start: {error}; use 'serial'"
            ) from error
        self._pool.append(worker)
        return worker

    def _collect(self, pending: deque[_Task], answers: dict[int, Any], died: set[int]) -> None:
        """Wait for a message from any worker, and handle all messages that have arrived.

        Args:
            pending: The tasks that no worker has.
            answers: The answers so far, by number of the item; the method adds to it.
            died: The numbers of the items whose worker died once.

        Raises:
            WorkerStartError: A worker cannot start.
            RuntimeError: The function raised an error.
        """
        by_connection = {worker.connection: worker for worker in self._pool}
        shortest = min((self._limit(worker).seconds for worker in self._pool), default=_POLL)
        ready = wait(list(by_connection), timeout=min(_POLL, shortest / 4))
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
                    raise WorkerStartError(
                        f"executor: a worker of 'process' cannot start: {value}; use 'serial'"
                    )
                worker.ready = True
            elif worker.task is not None:
                if not succeeded:
                    raise RuntimeError(value)
                self._limit(worker).record(time.monotonic() - worker.since)
                answers[worker.task[0]] = value
                worker.task = None

    def _limit(self, worker: Worker) -> TimeLimit:
        return self._limits.of(worker.task[1] if worker.task else None)

    def _end_overdue(self, pending: deque[_Task], answers: dict[int, Any], died: set[int]) -> None:
        """Kill the workers that are over their time; arguments as for `_collect`.

        Before the first answer, and while a worker starts, the time counts from the last moment at which the
        worker computed.
        """
        now = time.monotonic()
        for worker in [each for each in self._pool if each.task is not None or not each.ready]:
            limit = self._limit(worker)
            if not (limit.is_known and worker.ready):
                ticks = cpu_ticks(worker.process.pid)
                if ticks is None or ticks != worker.ticks:
                    worker.ticks, worker.since = ticks, now
            if now - worker.since > limit.seconds:
                worker.process.kill()
                cause = f"no answer within {limit.seconds:g} s; see executor.timeout"
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
        worker: Worker,
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
            WorkerStartError: The worker died before it was ready.
        """
        worker.connection.close()
        worker.process.join()
        self._pool.remove(worker)
        cause = cause or _cause(worker.process.exitcode)
        if not worker.ready:
            raise WorkerStartError(
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


def workers_per_gpu(gpus: float, workers: int) -> int:
    """Return the number of workers on each GPU of this machine; 0 = the workers are spread evenly.

    Args:
        gpus: The option `executor.gpus`.
        workers: Number of worker processes.

    Raises:
        ConfigError: The option is out of range, or the machine has too few GPUs.
    """
    if not 0 <= gpus <= 1:
        raise ConfigError(
            f"executor.gpus: found {gpus}; allowed: a share of a GPU above 0 up to 1, or 0 to spread the "
            "workers evenly over all GPUs"
        )
    if not gpus:
        return 0
    each = math.floor(1 / gpus + 1e-9)
    count = torch.cuda.device_count()
    if workers > count * each:
        raise ConfigError(
            f"executor.gpus: found {gpus} with executor.workers {workers}; GPUs needed: "
            f"{math.ceil(workers / each)}, on this machine: {count}"
        )
    return each


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"killed by {signal.Signals(-exitcode).name}"
    return f"exit code {exitcode}"


@hookimpl
def edanas_executors() -> Mapping[str, Callable[..., Executor]]:
    """Register the executor `process`."""
    return {"process": Process}
