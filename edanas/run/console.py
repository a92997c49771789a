"""Displays of progress for a terminal, a log and a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edanas.core.durations import duration_text
from edanas.core.progress import Bar, Progress, Silent
from edanas.core.visible import visible

if TYPE_CHECKING:
    import rich.progress
    from rich.console import Console


def default_progress() -> Progress:
    """Return the default display of progress: bars in a notebook or a terminal, nothing elsewhere.

    Example:
        >>> import contextlib, io
        >>> with contextlib.redirect_stderr(io.StringIO()):
        ...     type(default_progress()).__name__
        'Silent'
    """
    if _in_notebook():
        return NotebookProgress()
    if sys.stderr is not None and sys.stderr.isatty():
        return ConsoleProgress()
    return Silent()


def _in_notebook() -> bool:
    """Return whether this process runs the code of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


class ConsoleProgress:
    """A `Progress` that prints to a terminal or a log.

    In a terminal, every running task is a live bar, and an outermost task leaves one line when it ends.
    Elsewhere, the outermost task prints a line at its start, after each quarter of its steps, and at its end.

    Args:
        console: The console to print to; by default standard error, so that standard output holds only
            results.

    Example:
        >>> import io
        >>> from rich.console import Console
        >>> log = io.StringIO()
        >>> with ConsoleProgress(Console(file=log)).task("Training", 2) as bar:
        ...     bar.advance()
        >>> print(log.getvalue().splitlines()[0])
        Training: 0 of 2
    """

    def __init__(self, console: Console | None = None) -> None:
        from edanas.report.terminal import PlainConsole

        self.console = console or PlainConsole(stderr=True)
        self._running: list[str] = []
        self._live: rich.progress.Progress | None = None

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Bar]:
        """See `edanas.core.progress.Progress.task`."""
        is_live = self.console.is_interactive
        is_inner = bool(self._running)
        say = (lambda _: None) if is_inner and not is_live else self.say
        bar = self._live_bar(label, total) if is_live else _LineBar(say, label, total)
        self._running.append(label)
        try:
            yield bar
        except BaseException:
            self._finish(bar)
            if not is_live:
                say(f"{label}: stopped at {_count(bar.done, total)}")
            raise
        self._finish(bar)
        if not is_inner:
            seconds = duration_text(time.monotonic() - bar.start)
            self.say(f"{label}: {_count(bar.done, total)} in {seconds}{bar.remark}")

    def say(self, line: str) -> None:
        """See `edanas.core.progress.Progress.say`."""
        self.console.print(visible(line), markup=False, highlight=False, soft_wrap=True)

    def _live_bar(self, label: str, total: int | None) -> _LiveBar:
        if self._live is None:
            import rich.progress

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

    def _finish(self, bar: _LineBar | _LiveBar) -> None:
        self._running.pop()
        bar.close()
        if self._live is not None and not self._running:
            self._live.stop()
            self._live = None


class _LineBar:
    """A bar that prints a line at the start and after each quarter of the steps."""

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
    """A bar of the live display of the package rich."""

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


class NotebookProgress:
    """A `Progress` in a notebook, which shows all running bars in one output of the cell.

    Args:
        interval: The least time between two updates of the output, in seconds; 0.2 by default.
    """

    def __init__(self, interval: float = 0.2) -> None:
        self._interval = interval
        self._bars: list[_NotebookBar] = []
        self._output: Any = None
        self._updated = 0.0

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Bar]:
        """See `edanas.core.progress.Progress.task`."""
        bar = _NotebookBar(label, total, self._update)
        self._bars.append(bar)
        self._update(at_once=True)
        try:
            yield bar
        except BaseException:
            self._close(f"{label}: stopped at {_count(bar.done, total)}")
            raise
        seconds = duration_text(time.monotonic() - bar.start)
        self._close(f"{label}: {_count(bar.done, total)} in {seconds}{bar.remark}")

    def say(self, line: str) -> None:
        """See `edanas.core.progress.Progress.say`."""
        sys.stdout.write(f"{visible(line)}\n")

    def _close(self, last_line: str) -> None:
        self._bars.pop()
        if self._bars:
            self._update(at_once=True)
        elif self._output is not None:
            self._output.update(_as_text(last_line), raw=True)
            self._output = None

    def _update(self, *, at_once: bool = False) -> None:
        from IPython.display import display  # type: ignore[import-not-found,unused-ignore]

        if not at_once and time.monotonic() < self._updated + self._interval:
            return
        self._updated = time.monotonic()
        lines = _as_text("\n".join("  " * depth + bar.line() for depth, bar in enumerate(self._bars)))
        if self._output is None:
            self._output = display(lines, raw=True, display_id=True)
        else:
            self._output.update(lines, raw=True)


class _NotebookBar:
    """A bar that `NotebookProgress` shows as one line of text."""

    def __init__(self, label: str, total: int | None, update: Callable[[], None]) -> None:
        self._label, self._total, self._update = label, total, update
        self.done, self.remark, self.start = 0, "", time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.done += steps
        self.remark = f"  {note}" if note else self.remark
        self._update()

    def line(self) -> str:
        filled = min(20, 20 * self.done // self._total) if self._total else 0
        bar = "" if self._total is None else f"{'█' * filled}{'░' * (20 - filled)} "
        return f"{self._label} {bar}{_count(self.done, self._total)}{self.remark}"


def _as_text(text: str) -> dict[str, str]:
    return {"text/plain": text}


def _count(done: int, total: int | None) -> str:
    return str(done) if total is None else f"{done} of {total}"
