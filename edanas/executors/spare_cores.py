"""The executor `auto`: this process at first, then worker processes on cores that are idle."""

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from edanas.core.contracts import Executor
from edanas.core.contracts.running import Answer, Item
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.machine import usable_cores
from edanas.executors.process import Process, WorkerStartError
from edanas.executors.serial import Serial

PATIENCE = 5.0
"""Seconds of work in this process before workers start; their start takes about as long."""

_MOST = 4
"""Largest number of workers, each of which needs memory for torch and the networks."""

_Numbered = Iterator[tuple[int, Any]]


class SpareCores(Executor):
    """Evaluate in this process for 5 seconds, then in a worker process on each core that is idle.

    Workers start in the program `edanas` and in interactive sessions only, since each worker of a script
    would run the script again. If they cannot start, the work goes on in this process. The results equal
    those of the executor `serial`. Where `auto` is set, runs on a GPU and runs that measure latency or energy
    have the executor `serial`.

    Args:
        workers: The largest number of worker processes, 1 to 4; by default 0, for one on each core that
            torch's threads leave idle, up to 4. With 1, no worker starts.
        timeout: See the executors `serial` and `process`.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> list(SpareCores().run(abs, [-1, 2]))
        [1, 2]
    """

    def __init__(self, workers: int = 0, timeout: float = 0.0) -> None:
        if not 0 <= workers <= _MOST:
            raise ConfigError(f"executor.workers: found {workers}; allowed: 1 to {_MOST}, or 0 for automatic")
        cores = usable_cores() // torch.get_num_threads()
        self.workers = max(1, min(workers or _MOST, cores)) if _workers_can_import_main() else 1
        self.timeout = timeout
        self._serial, self._process = Serial(timeout), Process(self.workers, timeout=timeout)
        self._left = PATIENCE if self.workers > 1 else math.inf

    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """See `Executor.run`. At most `workers + 1` items are in progress."""
        stream = self._stream(function, items, lambda rest: enumerate(self._process.run(function, rest)))
        return (answer for _, answer in stream)

    def as_completed(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[tuple[int, Answer | CandidateError]]:
        """See `Executor.as_completed`. At most `workers` items are in progress."""
        return self._stream(function, items, lambda rest: self._process.as_completed(function, rest))

    def waiting_for(self) -> str:
        """See `Executor.waiting_for`."""
        return self._process.waiting_for()

    def close(self) -> None:
        """Kill all worker processes."""
        self._process.close()

    def _stream(
        self,
        function: Callable[..., Any],
        items: Iterable[Any],
        elsewhere: Callable[[Iterator[Any]], _Numbered],
    ) -> _Numbered:
        """Yield the number and the answer of each item.

        Args:
            function: The function.
            items: The items.
            elsewhere: Applies the function to items in worker processes; it numbers them from 0.
        """
        source: _Numbered = enumerate(items)
        yield from self._answers_here(function, source)
        drawn: dict[int, tuple[int, Any]] = {}

        def rest() -> Iterator[Any]:
            for index, each in enumerate(source):
                drawn[index] = each
                yield each[1]

        try:
            for index, answer in elsewhere(rest()):
                yield drawn.pop(index)[0], answer
        except WorkerStartError:
            self._process.close()
            self._left, self.workers = math.inf, 1
            yield from self._answers_here(function, chain(drawn.values(), source))

    def _answers_here(self, function: Callable[..., Any], source: _Numbered) -> _Numbered:
        """Yield the answers of this process until its time is over."""
        while self._left > 0 and (each := next(source, None)) is not None:
            if self._left < PATIENCE / 2:
                with suppress(WorkerStartError):  # it is raised again when the time here is over
                    self._process.start()
            start = time.monotonic()
            answer = next(iter(self._serial.run(function, [each[1]])))
            self._left -= time.monotonic() - start
            yield each[0], answer


def _workers_can_import_main() -> bool:
    """Return whether the main module is the program `edanas`, or an interactive session without a file."""
    main = sys.modules["__main__"]
    if main.__spec__ is not None and main.__spec__.name != "__main__":
        return main.__spec__.name.partition(".")[0] == "edanas"
    path = Path(getattr(main, "__file__", "edanas"))
    # On Windows, the program is an archive, `edanas.exe/__main__.py`.
    return "edanas" in (path.stem, path.parent.stem if path.stem == "__main__" else "")


@hookimpl
def edanas_executors() -> Mapping[str, Callable[..., Executor]]:
    """Register the executor `auto`."""
    return {"auto": SpareCores}
