"""Meters of the energy of the machine's processors and of the memory of this process."""

import mmap
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Self

POWERCAP = Path("/sys/class/powercap")
"""The folder in which Linux has the energy counters (RAPL) of Intel and AMD processors."""

_STATM = Path("/proc/self/statm")
_INTERVAL = 0.001
_PACKAGE = "intel-rapl:*"


class Energy:
    """The energy counters of all processors of the machine; they include the energy of other programs.

    Args:
        root: The folder of the counters; by default `POWERCAP`.

    Attributes:
        missing: A sentence with the reason why energy cannot be measured; empty if it can.

    Example:
        >>> Energy(Path("no/such/folder")).missing
        'energy: not measured, since the machine has no counter in no/such/folder'
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        # A package's name has one colon. A name with two is a part, which the package's counter includes.
        zones = sorted(zone for zone in root.glob(_PACKAGE) if zone.name.count(":") == 1)
        self.missing = "" if zones else f"energy: not measured, since the machine has no counter in {root}"
        self._counters: list[_Counter] = []
        try:
            self._counters = [_Counter(zone) for zone in zones]
        except (OSError, ValueError):
            self.missing = f"energy: not measured, since the counters in {root} may not be read by this user"

    @property
    def joules(self) -> Callable[[], float] | None:
        """A function that returns the joules used since this object was made; `None` without counters."""
        return None if self.missing else lambda: sum(each() for each in self._counters)


class _Counter:
    """The energy counter of one processor package, which restarts from 0 at `range` microjoules."""

    def __init__(self, zone: Path) -> None:
        self.file = zone / "energy_uj"
        self.range = int((zone / "max_energy_range_uj").read_text())
        self.last, self.total = self._read(), 0

    def __call__(self) -> float:
        now = self._read()
        self.total += now - self.last if now >= self.last else now - self.last + self.range
        self.last = now
        return self.total / 1e6

    def _read(self) -> int:
        return int(self.file.read_text())


class MemoryMeter:
    """A context manager that measures the peak memory of this process in bytes, on Linux.

    Memory that files back, such as the code of libraries, does not count. A thread reads the memory every
    millisecond, and misses shorter peaks.

    Attributes:
        bytes: The largest increase of memory so far since the block was entered.

    Example:
        >>> MemoryMeter().bytes
        0
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._done = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    @staticmethod
    def works() -> bool:
        """Return True if the system has the memory counter that this class reads."""
        return _STATM.exists()

    def __enter__(self) -> Self:
        self._before = _used_bytes()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._update()

    def _watch(self) -> None:
        while not self._done.wait(_INTERVAL):
            self._update()

    def _update(self) -> None:
        self.bytes = max(self.bytes, _used_bytes() - self._before)


def _used_bytes() -> int:
    """Return the bytes of this process in memory that no file backs."""
    _, resident, shared, *_ = map(int, _STATM.read_text().split())
    return (resident - shared) * mmap.PAGESIZE
