"""The executor `ray`: work on the nodes of a Ray cluster, or on several GPUs of one machine.

Each worker is a Ray actor, which receives the function once, through Ray's shared memory, and then one item
at a time. Ray restarts and retries nothing by itself. An item is tried once more after the death of its
worker, and up to three times more after the loss of a node. Every wait ends after a few seconds; then the
head of the cluster is checked.
"""

import math
import os
import textwrap
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch

from edanas.core.contracts import Executor
from edanas.core.contracts.running import Answer, Item
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.optional_packages import import_optional
from edanas.core.time_limits import StepLimits, TimeLimit
from edanas.executors.answer_order import in_order
from edanas.executors.ray_connection import Connection, check_gpus, first_line
from edanas.executors.ray_worker import RayWorker, installed, payload

_Task = tuple[int, Any]

_POLL = 5.0
"""Longest wait for an answer in seconds; then the head and the times of the workers are checked."""

_SMALLEST_SHARE = 1e-4
"""Smallest share of a GPU that Ray can reserve."""

_START_LIMIT = 900.0
"""Seconds after which the run ends if no worker has started; a cluster that grows takes minutes."""

_FIRST_LIMIT = 3600.0
"""Largest number of seconds of an item before any answer, unless `timeout` is set."""

_MOST_LOSSES = 3
"""Number of lost nodes after which an item is tried again."""


@dataclass
class _Worker:
    """An actor and its state.

    Args:
        actor: Ray's handle of the actor.
        reply: Reference to the reply that the actor owes; `None` while it is idle.
        place: Ids of its node and of its process, once it has loaded the function.
        task: The number and the item that it works on.
        since: Start of the task, or of the actor, on the clock of `time.monotonic`.
    """

    actor: Any
    reply: Any
    place: tuple[str, int] | None = None
    task: _Task | None = None
    since: float = field(default_factory=time.monotonic)


class Ray(Executor):
    """Evaluate several candidates at once, on the nodes of a Ray cluster.

    Args:
        address: `auto`, the default, for the cluster that runs on this machine or that the environment
            variable `RAY_ADDRESS` names; `host:port` of a cluster's head; or `local` to start Ray on this
            machine for the duration of the run, also written `ray:local`.
        workers: The number of workers, 1 or more; 2 by default. Workers that do not fit wait for a node, so
            that a cluster with an autoscaler grows.
        cpus: The number of CPU cores that each worker reserves; 1 by default.
        gpus: The share of a GPU, or the number of GPUs, that each worker reserves; 0, the default, to spread
            the workers evenly over the cluster's present GPUs.
        threads: The number of torch threads in each worker; 0, the default, for the number in the calling
            process, so that the archive equals that of the executor `serial`.
        timeout: The largest number of seconds for one candidate; by default 0, for 20 times the median so
            far and at least 5 minutes. A worker without an answer is killed.
        asynchronous: True to give a free worker the next candidate at once, instead of waiting for the end of
            each iteration.

    Raises:
        ConfigError: An option is out of range, or the package ray is not installed. The method `run` raises
            it if there is no cluster, or a worker cannot start.

    Example:
        >>> from edanas.core.errors import ConfigError
        >>> try:
        ...     Ray(workers=0)
        ... except ConfigError as error:
        ...     print(error)
        executor.workers: found 0; allowed: 1 or more
    """

    def __init__(
        self,
        address: str = "auto",
        workers: int = 2,
        cpus: float = 1.0,
        gpus: float = 0.0,
        threads: int = 0,
        timeout: float = 0.0,
        asynchronous: bool = False,  # noqa: FBT001, FBT002 - settings pass options by name
    ) -> None:
        if workers < 1:
            raise ConfigError(f"executor.workers: found {workers}; allowed: 1 or more")
        for name, value in (("cpus", cpus), ("gpus", gpus), ("threads", threads)):
            if not 0 <= value < math.inf:
                raise ConfigError(f"executor.{name}: found {value}; allowed: 0 or more")
        if 0 < gpus < _SMALLEST_SHARE or (gpus > 1 and gpus != int(gpus)):
            raise ConfigError(
                f"executor.gpus: found {gpus}; allowed: a share of a GPU from {_SMALLEST_SHARE} to 1, a "
                "whole number of GPUs, or 0 to spread the workers evenly over all GPUs"
            )
        if "://" in address:
            raise ConfigError(
                f"executor.address: found '{address}'; allowed: auto, local, or the `host:port` of a head"
            )
        self.address, self.workers, self.cpus, self.gpus = address, workers, cpus, gpus
        self.threads, self.asynchronous = threads, asynchronous
        self.timeout, self._limits = timeout, StepLimits(timeout)
        # By default, Ray would build an environment anew for the workers of a driver that `uv run` started.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        self._ray = import_optional("executor", "ray", "ray", "ray")
        self._cluster = Connection(self._ray, address)
        self._function: Callable[..., Any] | None = None
        self._payload: Any = None
        self._pool: list[_Worker] = []
        self._has_started = False

    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """See `Executor.run`. At most `workers + 1` items are in progress."""
        return in_order(lambda most: self._stream(function, items, most), self.workers + 1)

    def as_completed(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[tuple[int, Answer | CandidateError]]:
        """See `Executor.as_completed`. At most `workers` items are in progress."""
        return self._stream(function, items, lambda: self.workers)

    def _stream(
        self, function: Callable[..., Any], items: Iterable[Any], most: Callable[[], int]
    ) -> Generator[tuple[int, Any], None, None]:
        if not self._ray.is_initialized():
            self.check()
        self._cluster.open(self.workers * self.cpus)
        with self._cluster.detecting_loss():
            self._ship(function)
        source = enumerate(items)
        pending: deque[_Task] = deque()
        answers: dict[int, Any] = {}
        deaths: Counter[tuple[int, str]] = Counter()
        open_items = 0
        try:
            while True:
                fresh = list(islice(source, max(0, most() - open_items)))
                open_items += len(fresh)
                pending.extend(fresh)
                if not open_items:
                    return
                with self._cluster.detecting_loss():
                    self._assign(pending)
                    self._collect(pending, answers, deaths)
                    self._assign(pending)
                for number in sorted(answers):
                    open_items -= 1
                    yield number, answers.pop(number)
        finally:
            # A late answer to an unfinished item would be mistaken for an answer of the next run.
            if not self._cluster.connected or any(worker.task for worker in self._pool):
                self._end_workers()

    def waiting_for(self) -> str:
        """See `Executor.waiting_for`."""
        now = time.monotonic()
        busy = [
            f"a worker on node {worker.place[0][:8]} for {now - worker.since:.0f} s"
            + (f" (candidate {name})" if (name := str(getattr(worker.task[1], "id", ""))) else "")
            for worker in list(self._pool)
            if worker.task is not None and worker.place is not None
        ]
        waiting = sum(worker.place is None for worker in self._pool)
        return ", ".join(
            [*busy, *([f"{waiting} workers that wait for a node or load data"] if waiting else [])]
        )

    def close(self) -> None:
        """Kill the workers of this run; other work on the cluster goes on."""
        self._end_workers()
        self._cluster.close()

    def _end_workers(self) -> None:
        for worker in self._pool if self._cluster.connected else ():
            with suppress(Exception):
                self._ray.kill(worker.actor)
        self._pool.clear()

    def check(self) -> None:
        """See `Executor.check`: this machine needs the GPUs, or a head must listen at the address."""
        if self.address == "local":
            check_gpus(self.gpus, self.workers)
        self._cluster.check()

    def _ship(self, function: Callable[..., Any]) -> None:
        """Put the function into Ray's shared memory; end workers that hold another function.

        Raises:
            ConfigError: The function cannot be pickled.
        """
        if function is self._function:
            return
        self._end_workers()
        try:
            content = payload(function, self._ray.cloudpickle)
        except Exception as error:
            raise ConfigError(
                f"executor: 'ray' sends the evaluation to its workers, but it cannot be pickled "
                f"({type(error).__name__}: {error}); use 'serial'"
            ) from error
        self._payload, self._function = self._ray.put(content), function

    def _assign(self, pending: deque[_Task]) -> None:
        """Send pending tasks to idle workers, and start workers for the other tasks, up to `workers`."""
        for worker in self._pool:
            if pending and worker.reply is None:
                worker.task, worker.since = pending.popleft(), time.monotonic()
                worker.reply = worker.actor.answer.remote(worker.task[1])
        starting = sum(worker.place is None for worker in self._pool)
        for _ in range(min(len(pending) - starting, self.workers - len(self._pool))):
            # SPREAD places workers on different nodes, as long as there are any.
            actor = self._ray.remote(RayWorker).options(
                num_cpus=self.cpus,
                num_gpus=self._gpu_share(),
                scheduling_strategy="SPREAD",
                max_restarts=0,
                max_task_retries=0,
            )
            handle = actor.remote()
            threads = self.threads or torch.get_num_threads()
            self._pool.append(_Worker(handle, handle.load.remote(self._payload, installed(), threads)))

    def _gpu_share(self) -> float:
        if self.gpus:
            return self.gpus
        gpus = int(self._ray.cluster_resources().get("GPU", 0))
        return 1 / math.ceil(self.workers / gpus) if gpus else 0.0

    def _collect(
        self, pending: deque[_Task], answers: dict[int, Any], deaths: Counter[tuple[int, str]]
    ) -> None:
        """Wait for a reply of any worker, and handle all replies that have arrived.

        Args:
            pending: The tasks that no worker has.
            answers: The answers so far, by number of the item; the method adds to it.
            deaths: Numbers of deaths by number of the item and reason, `worker` or `node`.

        Raises:
            ConfigError: A worker cannot start.
            RunError: The head of the cluster does not answer, or no node is left.
            RuntimeError: The function raised an error.
        """
        owed = {worker.reply: worker for worker in self._pool if worker.reply is not None}
        shortest = min(self._limit(worker).seconds for worker in self._pool)
        ready, _ = self._ray.wait(list(owed), timeout=min(_POLL, shortest / 4))
        if not ready:
            self._check(pending, answers, deaths)
        errors = self._ray.exceptions
        for reply in ready:
            try:
                self._receive(owed[reply], self._ray.get(reply, timeout=_POLL), answers)
            except errors.RayTaskError as error:
                raise RuntimeError(first_line(error.cause)) from error
            except errors.GetTimeoutError:
                continue
            except (errors.RayActorError, errors.ObjectLostError, errors.WorkerCrashedError) as error:
                self._remove(owed[reply], _cause(error), pending, answers, deaths)

    def _receive(self, worker: _Worker, content: tuple[bool, Any], answers: dict[int, Any]) -> None:
        succeeded, value = content
        worker.reply = None
        if worker.place is None:
            if not succeeded:
                raise ConfigError(f"executor: a worker of 'ray' cannot start: {value}")
            worker.place, self._has_started = value, True
        elif worker.task is not None:
            if not succeeded:
                raise RuntimeError(value)
            self._limit(worker).record(time.monotonic() - worker.since)
            answers[worker.task[0]] = value
            worker.task = None

    def _limit(self, worker: _Worker) -> TimeLimit:
        return self._limits.of(worker.task[1] if worker.task else None)

    def _check(
        self, pending: deque[_Task], answers: dict[int, Any], deaths: Counter[tuple[int, str]]
    ) -> None:
        """Check the head, the nodes and the times of the workers; arguments and errors as for `_collect`."""
        if not self._cluster.responds():
            return
        now = time.monotonic()
        for worker in list(self._pool):
            if worker.place is None:
                if not self._has_started and now - worker.since > _START_LIMIT:
                    raise ConfigError(
                        f"executor: no worker of 'ray' started within {_START_LIMIT:.0f} s; each reserves "
                        f"{self.cpus:g} CPU and {self._gpu_share():g} GPU, and the cluster has "
                        f"{self._ray.cluster_resources()}; see executor.cpus and executor.gpus"
                    )
                continue
            limit = self._limit(worker)
            seconds = limit.seconds if limit.is_known else _FIRST_LIMIT
            if worker.task is not None and now - worker.since > seconds:
                self._ray.kill(worker.actor)
                cause = f"no answer within {seconds:g} s; see executor.timeout"
                self._remove(worker, cause, pending, answers, deaths)

    def _remove(
        self,
        worker: _Worker,
        cause: str,
        pending: deque[_Task],
        answers: dict[int, Any],
        deaths: Counter[tuple[int, str]],
    ) -> None:
        """Remove a dead worker; its task becomes pending again, once, or more often after a node's loss.

        Args:
            worker: The worker.
            cause: The reason for its death.
            pending: See `_collect`.
            answers: See `_collect`.
            deaths: See `_collect`.

        Raises:
            ConfigError: The worker died before it was ready, on a node that lives.
        """
        with suppress(Exception):
            self._ray.kill(worker.actor)
        self._pool.remove(worker)
        has_node = worker.place is None or worker.place[0] in self._cluster.alive_nodes()
        if worker.place is None:
            if "node" in cause.lower():
                return
            raise ConfigError(f"executor: a worker of 'ray' ended before it was ready ({cause})")
        if worker.task is None:
            return
        number = worker.task[0]
        key = number, "worker" if has_node else "node"
        deaths[key] += 1
        if deaths[key] > (1 if has_node else _MOST_LOSSES):
            ended = "two workers died" if has_node else f"{deaths[key]} nodes were lost"
            lines = self._cluster.last_lines(worker.place[1]) if has_node else ""
            answers[number] = CandidateError(f"{ended} on this candidate ({cause}){lines}")
        else:
            pending.appendleft(worker.task)


def _cause(error: BaseException) -> str:
    """Return the reason in Ray's description of an actor's death, which has many lines."""
    text = str(error)
    for start in ("Worker exit detail: ", "The actor is dead because ", "The actor died because "):
        if start in text:
            sentence = text.partition(start)[2].splitlines()[0].partition(" Some common causes")[0]
            return textwrap.shorten(sentence, 200, placeholder=" ...").rstrip(".")
    return first_line(error)


@hookimpl
def edanas_executors() -> Mapping[str, Callable[..., Executor]]:
    """Register the executor `ray`."""
    return {"ray": Ray}
