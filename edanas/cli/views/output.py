"""Console and plot files that the views share."""

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from edanas.core.runfolder import replace_file
from edanas.core.visible import visible
from edanas.report.terminal import PlainConsole


def output_console(width: int | None = None) -> Console:
    """Return a console on standard output, as wide as the terminal, or `width` columns without a terminal."""
    return PlainConsole() if sys.stdout.isatty() else PlainConsole(width=width)


def print_line(console: Console, text: str, style: str | None = None) -> None:
    """Print `text` as it is: without markup, highlighting or wrapping."""
    console.print(visible(text, lines=True), style=style, markup=False, highlight=False, soft_wrap=True)


def replace_plot(path: Path, save: Callable[[Path], object]) -> Path:
    """Write a plot to a temporary file, move it to `path` as a whole, and return `path`.

    Args:
        path: The plot file to write or replace.
        save: Writes the plot to the path that it receives.
    """
    with TemporaryDirectory() as folder:
        temporary = Path(folder) / path.name
        save(temporary)
        replace_file(path, temporary.read_bytes())
    return path
