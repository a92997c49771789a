"""Connection of the executor `ray` to a Ray cluster, or to Ray on this machine that it starts itself.

Calls of Ray wait for a dead head without end. The head is therefore checked by a connection of its own.
"""

import logging
import math
import os
import socket
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch

from edanas.core.errors import ConfigError, RunError
from edanas.core.machine import usable_cores
from edanas.executors.process import workers_per_gpu

_PROBE = 10.0
"""Longest wait in seconds for the connection to a head."""

_HEAD_LIMIT = 20.0
"""Seconds without an answer of the head after which the run ends. Ray itself ends the process after 60."""

_LINES = 5
"""Number of a dead worker's last lines of output that stand in the error of its item."""


class Connection:
    """The connection to a cluster, with the last lines of the output of its workers.

    Args:
        ray: The module `ray`.
        address: See `Ray`.

    Attributes:
        connected: True while the cluster can be used.
    """

    def __init__(self, ray: Any, address: str) -> None:
        self._ray, self._address = ray, address
        self.connected = self._owns = False
        self._lines: dict[int, deque[str]] = defaultdict(lambda: deque(maxlen=_LINES))
        self._head, self._head_seen = ("", 0), 0.0

    def open(self, cpus: float) -> None:
        """Connect to the cluster, or start Ray on this machine, with `cpus` cores or more.

        Raises:
            ConfigError: Ray does not start, or there is no cluster at the address.
        """
        if self.connected:
            return
        if not self._ray.is_initialized():
            options: dict[str, Any] = {"address": self._address}
            if self._address == "local":
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                cores = max(usable_cores(), math.ceil(cpus))
                options |= {"num_cpus": cores, "include_dashboard": False}
            try:
                self._ray.init(**options, log_to_driver=True, logging_level=logging.ERROR)
            except (Exception, SystemExit) as error:  # Ray exits, for instance, without a head
                raise ConfigError(self._absence(error)) from error
            self._owns = True
        self.connected, self._head_seen = True, time.monotonic()
        host, _, port = self._ray.get_runtime_context().gcs_address.rpartition(":")
        self._head = host.strip("[]"), int(port)
        self._collect_lines()

    def close(self) -> None:
        """End the connection, and Ray on this machine if the connection started it."""
        if self._owns and self.connected:
            self._ray.shutdown()
        self.connected = False

    def check(self) -> None:
        """Check that a head listens at the address; Ray itself would try for minutes.

        Raises:
            ConfigError: There is no cluster at the address.
        """
        if self._address == "local" or self._ray.is_initialized():
            return
        from ray._private.services import canonicalize_bootstrap_address

        try:
            host, _, port = str(canonicalize_bootstrap_address(self._address)).rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE).close()
        except Exception as error:
            raise ConfigError(self._absence(error)) from error

    def _absence(self, error: BaseException) -> str:
        """Return the message for a cluster that cannot be reached or started."""
        if self._address == "local":
            return f"executor: Ray cannot start on this machine ({first_line(error)}); use 'process'"
        return (
            f"executor.address: found '{self._address}', where no Ray cluster answers ({first_line(error)}); "
            "start one with `ray start --head`, give the address of its head, or use 'ray:local' on this "
            "machine"
        )

    def responds(self) -> bool:
        """Return whether the head answers, and check that a node is left.

        Raises:
            RunError: The head has not answered for `_HEAD_LIMIT` seconds, or no node is left.
        """
        now = time.monotonic()
        try:
            socket.create_connection(self._head, timeout=2.0).close()
        except OSError as error:
            if now - self._head_seen > _HEAD_LIMIT:
                raise self._lost(f"does not answer ({error.strerror or error})") from error
            return False
        self._head_seen = now
        if not self.alive_nodes():
            raise self._lost("has no node left")
        return True

    def alive_nodes(self) -> set[str]:
        """Return the ids of the nodes of the cluster."""
        return {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}

    @contextmanager
    def detecting_loss(self) -> Iterator[None]:
        """Turn errors of Ray itself into the error for a lost cluster."""
        try:
            yield
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise self._lost(f"failed ({first_line(error)})") from error

    def _lost(self, state: str) -> RunError:
        """Return the error for a cluster that is lost; its workers cannot be reached any more."""
        self.connected = False
        return RunError(
            f"executor: the Ray cluster at {self._head[0]}:{self._head[1]} {state}; all finished evaluations "
            "are kept. To resume, start the cluster again and run the same command, with this executor or "
            "another"
        )

    def _collect_lines(self) -> None:
        """Keep the last lines of each worker's output, which Ray would print."""
        with suppress(ImportError, AttributeError):
            from ray._private.ray_logging import global_worker_stdstream_dispatcher as dispatcher

            if self._owns:
                dispatcher.remove_handler("ray_print_logs")
            dispatcher.add_handler(f"edanas-{id(self)}", self._keep_lines)

    def _keep_lines(self, data: Mapping[str, Any]) -> None:
        with suppress(LookupError, ValueError, TypeError):
            self._lines[int(data["pid"])].extend(map(str, data["lines"]))

    def last_lines(self, pid: int) -> str:
        """Return the last lines of a worker's output, which arrive a moment after its death."""
        end = time.monotonic() + 2.0
        while pid not in self._lines and time.monotonic() < end:
            time.sleep(0.1)
        return f"; its last lines: {' | '.join(self._lines[pid])}" if self._lines.get(pid) else ""


def first_line(error: BaseException | None) -> str:
    """Return the kind of an error and the first line of its message."""
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"


def check_gpus(gpus: float, workers: int) -> None:
    """Refuse more workers than the GPUs of this machine suffice for; arguments are those of `Ray`."""
    if gpus <= 1:
        workers_per_gpu(gpus, workers)
    elif workers * gpus > (count := torch.cuda.device_count()):
        raise ConfigError(
            f"executor.gpus: found {gpus:g} with executor.workers {workers}; GPUs needed: "
            f"{workers * gpus:g}, on this machine: {count}"
        )
