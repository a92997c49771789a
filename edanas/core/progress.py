"""Progress bars. The command line shows them; a library call shows none unless it passes a `Progress`."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    """A progress bar that is on display."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Advance the bar by `steps`; a `note` that is not empty replaces the text beside the bar."""


class Progress(Protocol):
    """A display of progress bars and of single lines of text."""

    def task(self, label: str, total: int | None) -> AbstractContextManager[Bar]:
        """Return a context manager that yields a bar of `total` steps; `None` = an unknown number."""

    def say(self, line: str) -> None:
        """Show one line of text above the bars."""


class SilentBar:
    """A `Bar` that shows nothing.

    Example:
        >>> SilentBar().advance()
    """

    def advance(self, steps: int = 1, note: str = "") -> None:
        """See `Bar.advance`."""


class Silent:
    """A `Progress` that shows nothing.

    Example:
        >>> with Silent().task("Training", total=3) as bar:
        ...     bar.advance(1, "loss 0.5")
    """

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Bar]:
        """See `Progress.task`."""
        yield SilentBar()

    def say(self, line: str) -> None:
        """See `Progress.say`."""


class RecordedLines(Silent):
    """A `Progress` that shows no bars and records its lines.

    Example:
        >>> progress = RecordedLines()
        >>> progress.say("done")
        >>> progress.lines
        ['done']
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """See `Progress.say`."""
        self.lines.append(line)


class LocalBar:
    """A bar of this process: its pickle is a bar that shows nothing.

    Args:
        bar: The bar on display.

    Example:
        >>> import pickle
        >>> pickle.loads(pickle.dumps(LocalBar(None))).advance()
    """

    def __init__(self, bar: Bar) -> None:
        self.bar = bar

    def advance(self, steps: int = 1, note: str = "") -> None:
        """See `Bar.advance`."""
        self.bar.advance(steps, note)

    def __reduce__(self) -> tuple[type[SilentBar], tuple[()]]:
        return SilentBar, ()


class LocalProgress:
    """A `Progress` of this process: its pickle is one that shows nothing.

    Args:
        progress: The display.

    Example:
        >>> import pickle
        >>> pickle.loads(pickle.dumps(LocalProgress(Silent()))).say("not shown")
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def task(self, label: str, total: int | None) -> AbstractContextManager[Bar]:
        """See `Progress.task`."""
        return self.progress.task(label, total)

    def say(self, line: str) -> None:
        """See `Progress.say`."""
        self.progress.say(line)

    def __reduce__(self) -> tuple[type[Silent], tuple[()]]:
        return Silent, ()
