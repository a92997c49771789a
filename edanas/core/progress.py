"""How a long part reports that it moves. The command line shows a bar; a library call shows nothing."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    """One running bar."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Move by `steps`; `note` replaces the text beside the bar, where it is not empty."""


class Progress(Protocol):
    """A place to show bars and single lines."""

    def task(self, label: str, total: int | None) -> AbstractContextManager[Bar]:
        """A bar of `total` steps, `None` where nobody knows, as a context manager that yields a `Bar`."""

    def say(self, line: str) -> None:
        """One line of text above the bars."""


class _SilentBar:
    def advance(self, steps: int = 1, note: str = "") -> None:
        pass


class Silent:
    """A `Progress` that shows nothing."""

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Bar]:
        """See `Progress.task`."""
        yield _SilentBar()

    def say(self, line: str) -> None:
        """See `Progress.say`."""
