"""`edanas watch RUN`: a run, live in the terminal, from whatever process it runs in."""

import io
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from edanas.core.errors import RunError
from edanas.report.live import Frame
from edanas.report.state import RUNNING, RunState, look

_MISSES = 5
"""Looks in a row that may fail, e.g. since a run is just being started anew."""


def watch(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    *,
    once: Annotated[bool, typer.Option("--once", help="Show where the run stands, and leave.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
) -> None:
    """Show a run live until it ends; nothing in its folder is changed, and Ctrl-C ends only the watching."""
    state = look(run)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a dash that the terminal lacks must not end the watching
    console = Console()
    if not once:
        state = _follow(run, state, interval, console)
    console.print(Frame(state))


def _follow(run: Path, state: RunState, interval: float, console: Console) -> RunState:
    """Show frames until the run ends; its last state, which the terminal then keeps whole."""
    with Live(Frame(state), console=console, auto_refresh=False, transient=True) as live:
        while state.status == RUNNING:
            time.sleep(interval)
            state = _next(run, interval)
            live.update(Frame(state), refresh=True)
    return state


def _next(run: Path, interval: float) -> RunState:
    """Another look; one that meets the folder between two of its states is taken again.

    Raises:
        RunError: Looks keep failing.
    """
    for _ in range(_MISSES - 1):
        try:
            return look(run)
        except RunError:
            time.sleep(interval)
    return look(run)
