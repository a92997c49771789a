"""Progress on the console: live bars on a terminal, a few plain lines in a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rich.progress
from rich.console import Console

from edanas.core.progress import Bar


class ConsoleProgress:
    """A `Progress` for people to watch.

    On a terminal, running tasks are live bars; a finished one leaves a line if no other task runs around it.
    Elsewhere a task prints a line when it starts, at each quarter and when it ends, unless another task runs
    around it.

    Args:
        console: Where to print; standard error if left out, so that standard output stays clean.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._running: list[str] = []
        self._live: rich.progress.Progress | None = None

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Bar]:
        """See `edanas.core.progress.Progress.task`."""
        live = self.console.is_interactive
        inner = bool(self._running)
        say = (lambda _: None) if inner and not live else self.say
        bar = self._live_bar(label, total) if live else _LineBar(say, label, total)
        self._running.append(label)
        try:
            yield bar
        except BaseException:
            self._finish(bar)
            if not live:
                say(f"{label}: stopped at {_count(bar.done, total)}")
            raise
        self._finish(bar)
        if not inner:
            took = _clock(time.monotonic() - bar.start)
            self.say(f"{label}: {_count(bar.done, total)} in {took}{bar.remark}")

    def say(self, line: str) -> None:
        """See `edanas.core.progress.Progress.say`."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _live_bar(self, label: str, total: int | None) -> "_LiveBar":
        if self._live is None:
            self._live = rich.progress.Progress(
                rich.progress.TextColumn("{task.description}", markup=False),
                rich.progress.BarColumn(),
                rich.progress.MofNCompleteColumn(),
                rich.progress.TimeElapsedColumn(),
                rich.progress.TimeRemainingColumn(),
                rich.progress.TextColumn("{task.fields[note]}", markup=False),
                console=self.console,
                transient=True,
            )
            self._live.start()
        return _LiveBar(self._live, "  " * len(self._running) + label, total)

    def _finish(self, bar: "_LineBar | _LiveBar") -> None:
        self._running.pop()
        bar.close()
        if self._live is not None and not self._running:
            self._live.stop()
            self._live = None


class _LineBar:
    def __init__(self, say: Callable[[str], None], label: str, total: int | None) -> None:
        self._say, self._label, self._total = say, label, total
        self._quarter = 0
        self.done, self.remark, self.start = 0, "", time.monotonic()
        say(f"{label}: {_count(0, total)}")

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.done += steps
        self.remark = f"  {note}" if note else self.remark
        quarter = 0 if self._total is None else 4 * self.done // max(self._total, 1)
        if self._quarter < quarter < 4:
            self._quarter = quarter
            self._say(f"{self._label}: {_count(self.done, self._total)}{self.remark}")

    def close(self) -> None:
        pass


class _LiveBar:
    def __init__(self, live: rich.progress.Progress, label: str, total: int | None) -> None:
        self._live = live
        self._task = live.add_task(label, total=total, note="")
        self.done, self.remark, self.start = 0, "", time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.done += steps
        self.remark = f"  {note}" if note else self.remark
        self._live.update(self._task, advance=steps, note=self.remark.strip())

    def close(self) -> None:
        self._live.remove_task(self._task)


def _count(done: int, total: int | None) -> str:
    return str(done) if total is None else f"{done} of {total}"


def _clock(seconds: float) -> str:
    """E.g. `3.2 s` or `4:05 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
