"""`edanas watch RUN`: a run, live in the terminal, whichever process it runs in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from edanas.report.state import RunState

_ATTEMPTS = 5
"""Readings of the folder in a row that may fail, e.g. while a run is just being started anew."""


def watch(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    *,
    once: Annotated[bool, typer.Option("--once", help="Show the present state and exit.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two updates.")] = 2.0,
) -> None:
    """Show a run live until it ends. Its folder stays as it is, and Ctrl-C ends only this command."""
    import io
    import sys

    from rich.console import Console

    from edanas.report.live import Frame
    from edanas.report.state import look

    state = look(run)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a dash that the terminal lacks must not raise an error
    console = Console()
    if not once:
        state = _follow(run, state, interval, console)
    console.print(Frame(state))


def _follow(run: Path, state: RunState, interval: float, console: Console) -> RunState:
    """Show frames until the run ends, and return its last state, which stays in the terminal."""
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
    """Read the state of the run, again if the folder is just between two states.

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
