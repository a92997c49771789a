"""`edanas watch RUN`: a live display of a run, which may run in any process on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from edanas.report.state import RunState

_ATTEMPTS = 5
"""The number of consecutive failed readings of the run folder that ends the command.

A reading fails, for example, while a run with `--overwrite` replaces the files.
"""


def watch(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    *,
    once: Annotated[bool, typer.Option("--once", help="Print the present state once, and exit.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Time between two updates in seconds, 0.1 or more.")
    ] = 2.0,
) -> None:
    """Show the state of a run until the run ends. Ctrl-C ends the display; the run is not affected."""
    from edanas.report.live import Frame
    from edanas.report.state import look
    from edanas.report.terminal import PlainConsole

    state = look(run)
    console = PlainConsole()
    if not once:
        state = _follow(run, state, interval, console)
    console.print(Frame(state))


def _follow(run: Path, state: RunState, interval: float, console: Console) -> RunState:
    """Show the state every `interval` seconds until the run ends, and return the last state."""
    import time

    from rich.live import Live

    from edanas.report.live import Frame
    from edanas.report.state import RUNNING

    with Live(Frame(state), console=console, auto_refresh=False, transient=True) as live:
        while state.status == RUNNING:
            time.sleep(interval)
            state = _next_state(run, interval)
            live.update(Frame(state), refresh=True)
    return state


def _next_state(run: Path, interval: float) -> RunState:
    """Return the state of the run; after a failed reading, read again `interval` seconds later.

    Raises:
        RunError: The folder cannot be read `_ATTEMPTS` times in a row.
    """
    import time

    from edanas.core.errors import RunError
    from edanas.report.state import look

    for _ in range(_ATTEMPTS - 1):
        try:
            return look(run)
        except RunError:
            time.sleep(interval)
    return look(run)
