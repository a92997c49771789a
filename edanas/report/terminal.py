"""Console of the package rich that escapes control characters of the texts that it prints."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from edanas.core.visible import visible


class PlainConsole(Console):
    r"""A console on which names, paths and error texts cannot control the terminal.

    Example:
        >>> import io
        >>> file = io.StringIO()
        >>> PlainConsole(file=file).print("cat\x1b[2J", markup=False)
        >>> file.getvalue()
        'cat\\x1b[2J\n'
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of an object; texts have escapes in place of control characters."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text, lines=True))

    def print_line(self, text: object, **style: Any) -> None:
        """Print a text on one line, without markup, highlighting or wrapping."""
        self.print(visible(text), markup=False, highlight=False, soft_wrap=True, **style)
