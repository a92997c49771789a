"""Console and plot files that the views share."""

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from edanas.core.runfolder import replace_file


def output_console(width: int | None = None) -> Console:
    """Return a console on standard output, as wide as the terminal, or `width` columns without one."""
    return Console() if sys.stdout.isatty() else Console(width=width)


def print_line(console: Console, text: str, style: str | None = None) -> None:
    """Print `text` as it is: without markup, highlighting or wrapping."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def replace_plot(path: Path, save: Callable[[Path], object]) -> Path:
    """Replace the plot `path` as a whole by the one that `save` writes to its argument, and return `path`."""
    with TemporaryDirectory() as folder:
        temporary = Path(folder) / path.name
        save(temporary)
        replace_file(path, temporary.read_bytes())
    return path
