"""The commands of the command line, and the messages and exit codes for exceptions."""

import errno
import os
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edanas.cli import INTERRUPTED
from edanas.cli.bench import bench
from edanas.cli.compare import compare
from edanas.cli.doctor import doctor
from edanas.cli.export import export
from edanas.cli.new_plugin import new_plugin
from edanas.cli.plugins import plugins
from edanas.cli.predict import predict
from edanas.cli.report import report
from edanas.cli.run import run
from edanas.cli.tabulate import tabulate
from edanas.cli.to_optuna import to_optuna
from edanas.cli.train_supernet import train_supernet
from edanas.cli.train_teacher import train_teacher
from edanas.cli.tune import tune
from edanas.cli.watch import watch
from edanas.core.deprecation import EdanasDeprecationWarning
from edanas.core.errors import DISK_FULL, EdanasError, InfeasibleError, Interrupted
from edanas.core.version import VERSION
from edanas.core.visible import visible

_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_UNUSABLE_NAMES = (errno.ENAMETOOLONG, errno.ELOOP)


class _Group(TyperGroup):
    """A command group with the exit code `INTERRUPTED` after Ctrl-C, which some versions of typer lack."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and turn a KeyboardInterrupt into the exit code `INTERRUPTED`."""
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


def _version(is_set: bool) -> None:  # noqa: FBT001 (typer calls it with the flag's value)
    if is_set:
        typer.echo(f"edanas {VERSION}")
        raise typer.Exit


@app.callback()
def _edanas(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Search for early-exit neural networks, which stop computing early on easy inputs."""


for _command in (
    run,
    report,
    compare,
    predict,
    export,
    tune,
    bench,
    watch,
    tabulate,
    to_optuna,
    train_supernet,
    train_teacher,
    plugins,
    new_plugin,
    doctor,
):
    app.command(_command.__name__.replace("_", "-"))(_command)


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run one command, print its error if it fails, and return its exit code.

    Args:
        argv: See `edanas.cli.main`.

    Raises:
        KeyboardInterrupt: After Ctrl-C.
    """
    command = typer.main.get_command(app)
    with warnings.catch_warnings():
        warnings.simplefilter("always", EdanasDeprecationWarning)
        warnings.showwarning = _with_deprecations_in_a_line(warnings.showwarning)
        return _exit_code(command, argv)


def _with_deprecations_in_a_line(show_other: Callable[..., None]) -> Callable[..., None]:
    """Return a replacement for `warnings.showwarning` that prints deprecation warnings of edanas on one line.

    Args:
        show_other: The function that shows all other warnings.
    """

    def show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
        if issubclass(category, EdanasDeprecationWarning):
            typer.echo(f"Warning: {visible(message)}", err=True)
        else:
            show_other(message, category, *rest, **named)

    return show


def _exit_code(command: Any, argv: Sequence[str] | None) -> int:
    try:
        command.main(args=None if argv is None else list(argv), prog_name="edanas")
    except SystemExit as end:
        if end.code == INTERRUPTED:
            raise KeyboardInterrupt from None
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        return _print_error(error)
    return 0


def _print_error(error: Exception) -> int:
    from edanas.report.terminal import PlainConsole

    if os.environ.get("EDANAS_DEBUG") == "1":
        traceback.print_exc()
    message, code = explain(error)
    PlainConsole(stderr=True).print(message, markup=False, highlight=False, soft_wrap=True)
    return code


def explain(error: Exception) -> tuple[str, int]:
    """Return the message to print for an error, and the exit code.

    The exit code of an error that edanas does not expect is 1.

    Example:
        >>> from edanas.core.errors import ConfigError
        >>> explain(ConfigError("seed: found -1; allowed: 0 or more"))
        ('Error: seed: found -1; allowed: 0 or more', 2)
    """
    if isinstance(error, Interrupted):
        return visible(error), error.exit_code
    if isinstance(error, EdanasError):
        return f"Error: {visible(error, lines=isinstance(error, InfeasibleError))}", error.exit_code
    for matches, text in _SYSTEM_ERRORS:
        if matches(error):
            return f"Error: {visible(_file_prefix(error))}{text}", EdanasError.exit_code
    return (
        f"Internal error: {type(error).__name__}: {error}\n"
        "This is a fault of edanas or of a plugin. Please report it with the output of `edanas doctor` and "
        "of the same command with the environment variable EDANAS_DEBUG=1, which adds the traceback.",
        1,
    )


def _is_disk_full(error: Exception) -> bool:
    import sqlite3

    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
    return isinstance(error, OSError) and error.errno in DISK_FULL


def _is_forbidden(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _FORBIDDEN


def _is_unusable_name(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _UNUSABLE_NAMES


def _is_out_of_memory(error: Exception) -> bool:
    from edanas.core.machine import out_of_memory

    return out_of_memory(error)


def _file_prefix(error: Exception) -> str:
    name = getattr(error, "filename", None)
    return f"{name}: " if name else ""


_SYSTEM_ERRORS: tuple[tuple[Callable[[Exception], bool], str], ...] = (
    (_is_disk_full, "no space left on the disk. Results that were reported as finished are kept."),
    (_is_forbidden, "permission denied. Expected a file or folder that you may read and write."),
    (_is_unusable_name, "the system cannot open it. Expected a shorter name, and links without a loop."),
    (
        _is_out_of_memory,
        "out of memory. Try a smaller training.batch_size, finetune.batch_size or supernet. Results that "
        "were reported as finished are kept.",
    ),
)
"""Pairs of a test and a message, for errors of the operating system that the user can correct.

The first test that is true of an error selects the message.
"""
