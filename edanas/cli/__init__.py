"""The command line: one file for each command, and one table from exceptions to messages and exit codes."""

import errno
import os
import sqlite3
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from edanas.cli import (
    bench,
    compare,
    doctor,
    export,
    new_plugin,
    plugins,
    predict,
    report,
    run,
    tabulate,
    train_supernet,
    tune,
    watch,
)
from edanas.core.deprecation import EdanasDeprecationWarning
from edanas.core.errors import DISK_FULL, EdanasError, Interrupted
from edanas.core.machine import out_of_memory
from edanas.core.version import VERSION

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class _Group(TyperGroup):
    """Typer's versions differ in what they make of Ctrl-C; here it always ends with the same exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="edanas",
    cls=_Group,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:  # noqa: FBT001 (typer calls it with the flag's value)
    if wanted:
        typer.echo(f"edanas {VERSION}")
        raise typer.Exit


@app.callback()
def _edanas(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Search for early-exit neural networks: accurate where it is hard, cheap where it is easy."""


app.command("run")(run.run)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("tune")(tune.tune)
app.command("bench")(bench.bench)
app.command("watch")(watch.watch)
app.command("tabulate")(tabulate.tabulate)
app.command("train-supernet")(train_supernet.train_supernet)
app.command("plugins")(plugins.plugins)
app.command("new-plugin")(new_plugin.new_plugin)
app.command("doctor")(doctor.doctor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments, without the program's name; the process's own if left out.

    Returns:
        The exit code: 0, 2 for what the user can put right, 1 for a fault of edanas, 130 after Ctrl-C.
    """
    command = typer.main.get_command(app)
    with warnings.catch_warnings():
        warnings.simplefilter("always", EdanasDeprecationWarning)
        warnings.showwarning = _showing(warnings.showwarning)
        return _run(command, argv)


def _showing(other: Callable[..., None]) -> Callable[..., None]:
    """Deprecations as one line that tells users what to write; other warnings as before."""

    def show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
        if issubclass(category, EdanasDeprecationWarning):
            typer.echo(f"Warning: {message}", err=True)
        else:
            other(message, category, *rest, **named)

    return show


def _run(command: Any, argv: Sequence[str] | None) -> int:
    try:
        command.main(args=None if argv is None else list(argv), prog_name="edanas")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("EDANAS_DEBUG") == "1":
            traceback.print_exc()
        message, code = explain(error)
        Console(stderr=True).print(message, markup=False, highlight=False, soft_wrap=True)
        return code
    return 0


def explain(error: Exception) -> tuple[str, int]:
    """What to tell the user about `error`, and the exit code."""
    if isinstance(error, Interrupted):
        return str(error), error.exit_code
    if isinstance(error, EdanasError):
        return f"Error: {error}", error.exit_code
    for fits, text in _TABLE:
        if fits(error):
            return f"Error: {_of_file(error)}{text}", EdanasError.exit_code
    return (
        f"Internal error: {type(error).__name__}: {error}\n"
        "This is a fault of edanas or of a plugin. Please report it with the output of `edanas doctor` and "
        "of the same command with EDANAS_DEBUG=1 set, which adds the traceback.",
        1,
    )


def _code_of(error: Exception) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _sqlite_full(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"


def _of_file(error: Exception) -> str:
    name = getattr(error, "filename", None)
    return f"{name}: " if name else ""


_TABLE: tuple[tuple[Callable[[Exception], bool], str], ...] = (
    (
        lambda error: _code_of(error) in DISK_FULL or _sqlite_full(error),
        "no space left on the disk. What was printed as done is kept.",
    ),
    (
        lambda error: _code_of(error) in _FORBIDDEN,
        "permission denied. Expected a file or folder that you may use.",
    ),
    (
        out_of_memory,
        "out of memory. Try a smaller training.batch_size, finetune.batch_size or supernet. What was printed "
        "as done is kept.",
    ),
)
"""What the system refuses, and how to say it; a user can put these right too."""
