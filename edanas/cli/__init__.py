"""The command line. `main` is the console script; everything else is imported inside it.

The rest of the package: `application` collects the commands, each module beside it is one command, and
`views` prints their results. Command modules import only typer at their top, so that help is quick.
"""

import sys
from collections.abc import Sequence

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it: 128 + SIGINT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments, without the program's name; `None` for those of the process.

    Returns:
        The exit code: 0 for success, 2 for an error of the user's, 1 for a fault of edanas, 130 after Ctrl-C.

    Example:
        >>> main(["--version"])  # doctest: +ELLIPSIS
        edanas ...
        0
    """
    try:
        from edanas.cli.application import run_command

        return run_command(argv)
    except BaseException as error:
        if not _was_interrupted(error):
            raise
        sys.stderr.write("Interrupted\n")
        return INTERRUPTED


def _was_interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C caused `error`; an import can turn it into another error."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
