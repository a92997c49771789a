"""Time limits of single steps of a run: evaluations, and the finishing of results."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import FrameType

from edanas.core.durations import LONGEST
from edanas.core.errors import ConfigError

MEDIANS, LEAST = 20, 300.0
"""A step may take this many times the median duration so far, and at least this many seconds."""

_IDLE = 0.01
"""Share of a core below which a process counts as idle."""


class OverdueError(BaseException):
    """A step took longer than its time limit. No handler of `Exception` in the step catches it."""


class TimeLimit:
    """The largest duration of a step, from the durations of earlier steps.

    Args:
        timeout: The option `executor.timeout`: the limit in seconds; 0 for 20 times the median so far, and at
            least 5 minutes. Before the first duration, a step is given up if its process is idle for 5
            minutes.

    Raises:
        ConfigError: The option is negative or not finite.

    Example:
        >>> limit = TimeLimit(0.0)
        >>> limit.is_known
        False
        >>> limit.record(60.0)
        >>> limit.seconds
        1200.0
    """

    def __init__(self, timeout: float) -> None:
        if not 0 <= timeout <= LONGEST:
            raise ConfigError(
                f"executor.timeout: found {timeout}; allowed: seconds above 0 up to {LONGEST:g}, or 0 for "
                f"{MEDIANS} times the median duration, at least {LEAST:.0f} s"
            )
        self.timeout = float(timeout)
        self._durations: list[float] = []

    def record(self, seconds: float) -> None:
        """Record the duration of a finished step."""
        self._durations.append(seconds)

    @property
    def is_known(self) -> bool:
        """True if the limit is set, or follows from finished steps."""
        return bool(self.timeout or self._durations)

    @property
    def seconds(self) -> float:
        """The limit in seconds."""
        if self.timeout:
            return self.timeout
        return max(LEAST, MEDIANS * median(self._durations)) if self._durations else LEAST

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Raise `OverdueError` in the code inside the context when its time is over; record its duration.

        The signal SIGALRM ends code of Python that waits or computes. Outside the main thread, on systems
        without the signal, or while another timer runs, there is no limit.
        """
        start = time.monotonic()
        with _alarmed(self.seconds, idle=not self.is_known):
            yield
        self.record(time.monotonic() - start)


class StepLimits:
    """The time limits of the items of an executor: those of one step of a run have a limit of their own.

    Args:
        timeout: See `TimeLimit`.

    Raises:
        ConfigError: See `TimeLimit`.

    Example:
        >>> limits = StepLimits(0.0)
        >>> limits.of("an item").record(60.0)
        >>> limits.of("another").seconds
        1200.0
    """

    def __init__(self, timeout: float) -> None:
        self._limits = {0: TimeLimit(timeout)}

    def of(self, item: object) -> TimeLimit:
        """Return the limit of an item, by its attribute `step`, or 0 if it has none."""
        step = getattr(item, "step", 0)
        return self._limits.setdefault(step, TimeLimit(self._limits[0].timeout))


@contextmanager
def _alarmed(seconds: float, *, idle: bool) -> Iterator[None]:
    """Raise `OverdueError` after `seconds`; with `idle`, only once this process was idle for as long."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "setitimer") or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return
    used = time.process_time()

    def end(_: int, __: FrameType | None) -> None:
        nonlocal used
        before, used = used, time.process_time()
        if idle and used - before > _IDLE * seconds:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            return
        raise OverdueError(f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def cpu_ticks(pid: int | None) -> int | None:
    """Return the processor time of a process in clock ticks; `None` if the system does not report it."""
    try:
        # The name of the program, in parentheses, may contain spaces.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    except (OSError, ValueError, IndexError):
        return None
