"""What a machine can tell of itself: energy, and a process's memory."""

import mmap
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Self

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows the counters of Intel's and AMD's processors (Running Average Power Limit)."""

_STATM = Path("/proc/self/statm")
_MOMENT = 0.001
_PACKAGE = "intel-rapl:*"


class Energy:
    """Joules that all processors of the machine have used, whoever made them work.

    Args:
        root: The folder of the counters.

    Attributes:
        missing: Why there is no counter, in a sentence; empty where there is one.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        # A package's name has one colon; its parts, which it includes, have two.
        zones = sorted(zone for zone in root.glob(_PACKAGE) if zone.name.count(":") == 1)
        self.missing = "" if zones else f"energy: not measured, since the machine has no counter in {root}"
        self._counters: list[_Counter] = []
        try:
            self._counters = [_Counter(zone) for zone in zones]
        except (OSError, ValueError):
            self.missing = f"energy: not measured, since the counters in {root} may not be read"

    @property
    def joules(self) -> Callable[[], float] | None:
        """Since some moment; `None` where there is no counter."""
        return None if self.missing else lambda: sum(each() for each in self._counters)


class _Counter:
    """One package's, which begins again from 0 at some number."""

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
    """How many bytes this process comes to use at most, as a context manager; libraries' code left out.

    Looks every millisecond, from a thread of its own, and knows nothing of what came and went in between.

    Attributes:
        bytes: More than on entering, so far.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._done = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    @staticmethod
    def works() -> bool:
        """Whether the system tells."""
        return _STATM.exists()

    def __enter__(self) -> Self:
        self._before = _used()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(_MOMENT):
            self._look()

    def _look(self) -> None:
        self.bytes = max(self.bytes, _used() - self._before)


def _used() -> int:
    """Bytes in memory that are in no file."""
    _, resident, shared, *_ = map(int, _STATM.read_text().split())
    return (resident - shared) * mmap.PAGESIZE
