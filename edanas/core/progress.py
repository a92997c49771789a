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


class _SilentBar:
    def advance(self, steps: int = 1, note: str = "") -> None:
        pass


class Silent:
    """A `Progress` that shows nothing.

    Example:
        >>> with Silent().task("Training", total=3) as bar:
        ...     bar.advance(1, "loss 0.5")
    """

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Bar]:
        """See `Progress.task`."""
        yield _SilentBar()

    def say(self, line: str) -> None:
        """See `Progress.say`."""
