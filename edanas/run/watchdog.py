"""A line that names the cause when a run makes no progress."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from edanas.core.durations import duration_text
from edanas.core.progress import Bar, Progress

SILENCE = 60.0
"""Seconds without progress after which the first line appears; each further line takes twice as long."""


class WatchedProgress:
    """A `Progress` that passes everything on, and reports when nothing has arrived for a minute.

    Args:
        progress: The display.
        silence: Seconds without progress before the first line; 60 by default.

    Example:
        >>> from edanas.core.progress import Silent
        >>> with WatchedProgress(Silent()).watching() as progress, progress.task("Search", 2) as bar:
        ...     bar.advance()
    """

    def __init__(self, progress: Progress, silence: float = SILENCE) -> None:
        self.progress, self.silence = progress, silence
        self.detail: Callable[[], str] = str
        """Returns more about the work in progress; empty = nothing is known."""
        self._tasks: list[str] = []
        self._latest = time.monotonic()
        self._end = threading.Event()

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Bar]:
        """See `edanas.core.progress.Progress.task`."""
        self._tasks.append(label)
        try:
            with self.progress.task(label, total) as bar:
                self._touch()
                yield _WatchedBar(bar, self._touch)
        finally:
            self._tasks.pop()
            self._touch()

    def say(self, line: str) -> None:
        """See `edanas.core.progress.Progress.say`."""
        self._touch()
        self.progress.say(line)

    def watching(self) -> AbstractContextManager["WatchedProgress"]:
        """Return a context in which a thread watches the progress."""
        return self._watching()

    @contextmanager
    def _watching(self) -> Iterator["WatchedProgress"]:
        self._touch()
        thread = threading.Thread(target=self._watch, daemon=True, name="edanas watchdog")
        thread.start()
        try:
            yield self
        finally:
            self._end.set()
            thread.join()

    def _touch(self) -> None:
        self._latest = time.monotonic()

    def _watch(self) -> None:
        latest, patience = self._latest, self.silence
        while not self._end.wait(max(0.01, min(1.0, self.silence / 4))):
            if self._latest != latest:
                latest, patience = self._latest, self.silence
            silent = time.monotonic() - latest
            if silent >= patience:
                patience *= 2
                self.progress.say(self._line(silent))

    def _line(self, seconds: float) -> str:
        tasks, detail = list(self._tasks), self.detail()
        subject = f"'{tasks[-1]}'" if tasks else "the start or the end of a stage"
        more = f": {detail}" if detail else ""
        return f"No progress for {duration_text(round(seconds))}; waiting for {subject}{more}."


class _WatchedBar:
    """A bar that reports each step."""

    def __init__(self, bar: Bar, touch: Callable[[], None]) -> None:
        self._bar, self._touch = bar, touch

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._touch()
        self._bar.advance(steps, note)
