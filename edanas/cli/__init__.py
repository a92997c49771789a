"""The command line: `main` is the function behind the console script `edanas`.

In this package, `application` collects the commands, one module defines each command, and `views` prints the
results. `main` imports all of them when it is called, and command modules import only typer at their top, so
that `edanas --help` is quick.
"""

import io
import sys
from collections.abc import Sequence

INTERRUPTED = 130
"""The exit code after Ctrl-C, the same as in shells: 128 plus the number of the signal SIGINT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of the command line, and return its exit code.

    Args:
        argv: The arguments, without the name of the program; by default the arguments of this process.

    Returns:
        The exit code: 0 for success, 2 for an error that the user can correct, 1 for a fault of edanas or a
            plugin, 130 after Ctrl-C.

    Example:
        >>> main(["--version"])  # doctest: +ELLIPSIS
        edanas ...
        0
    """
    _escape_foreign_characters()
    try:
        from edanas.cli.application import run_command

        return run_command(argv)
    except BaseException as error:
        if not _was_interrupted(error):
            raise
        sys.stderr.write("Interrupted\n")
        return INTERRUPTED


def _escape_foreign_characters() -> None:
    """Escape characters that the encoding of standard output or standard error lacks, instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _was_interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C caused `error`; an import can replace the KeyboardInterrupt by another error."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
