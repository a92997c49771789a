"""State of a run, read from its folder. Another process may be writing to the folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.errors import RunError
from edanas.core.runfolder import LOCK, MODELS, holder_runs
from edanas.report.history import RunHistory, read_history
from edanas.report.result import FILE as RESULT
from edanas.report.result import Result

RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"
"""Values of `RunState.status`."""

PLAIN = "plain-"
"""Beginning of the names of the files of plain networks, in the folder of networks."""


@dataclass(frozen=True)
class RunState:
    """State of a run at one moment.

    Args:
        folder: The run folder.
        status: `running`, `finished`, or `stopped` for a run that ended without a result.
        history: The archive and the log.
        planned: Maximum number of evaluations by the settings; 0 = not known yet.
        networks: Number of finished networks of the search.
        plain: Number of finished plain networks; `None` = their training has not begun.
        result: The result of a finished run; `None` for other runs.
    """

    folder: Path
    status: str
    history: RunHistory
    planned: int
    networks: int
    result: Result | None
    plain: int | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """The run's settings as values of JSON's types; empty if they are not known yet."""
        return self.history.settings or (self.result.settings if self.result else {})

    @property
    def doing(self) -> str:
        """The run's current activity as a phrase, e.g. `searching, iteration 3`."""
        done = len(self.history.evaluations)
        if self.status != RUNNING:
            stopped = "stopped before its end; to resume, repeat the same `edanas run` with this --out"
            return FINISHED if self.status == FINISHED else stopped
        if self.plain is not None:
            return f"training plain networks, finished networks: {self.plain}"
        if self.networks or (self.planned and done >= self.planned):
            return f"finishing the results, finished networks: {self.networks}"
        if not done:
            return "preparing: reading data, training the supernet"
        iteration = self.history.evaluations[-1].iteration
        return f"searching, iteration {iteration}" if iteration else "evaluating the initial archive"


def look(folder: Path) -> RunState:
    """Return the state of a run. No file is changed or locked.

    Args:
        folder: The run folder.

    Raises:
        RunError: The folder is missing or holds no run, or its archive, log or result cannot be read.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; expected the folder of a run")
    if not any((folder / name).exists() for name in (ARCHIVE, RESULT, LOCK)):
        inside = sorted(path.parent.name for path in folder.glob(f"*/{ARCHIVE}"))
        hint = f"; choose one of its folders: {', '.join(inside[-5:])}" if inside else ""
        raise RunError(f"{folder}: holds no run; expected a folder with {ARCHIVE}{hint}")
    status = _status(folder)
    history = read_history(folder)
    rows = [path.name for path in folder.glob(f"{MODELS}/*.row.json")]
    plain = sum(name.startswith(PLAIN) for name in rows)
    has_plan = any(folder.glob(f"{MODELS}/{PLAIN}plan.json"))
    result = Result.read(folder) if status == FINISHED else None
    planned, networks = _planned(history.settings), len(rows) - plain
    return RunState(folder, status, history, planned, networks, result, plain if has_plan else None)


def _status(folder: Path) -> str:
    """Return the status of a run, from its result and from the process that holds its lock.

    If it is not known whether the process runs, it counts as running.
    """
    is_running, signed = holder_runs(folder), folder / f"{LOCK}.json"
    if (folder / RESULT).exists():
        is_newer = signed.exists() and signed.stat().st_mtime_ns > (folder / RESULT).stat().st_mtime_ns
        # A lock that is newer than the result belongs to a run that continues with a larger budget.
        return RUNNING if is_newer and is_running else FINISHED
    return STOPPED if is_running is False else RUNNING


def _planned(settings: Mapping[str, Any]) -> int:
    """Return the maximum number of evaluations by the settings; 0 if the settings are not known."""
    search = settings.get("search")
    try:
        planned = int(search["initial"]) + int(search["iterations"]) * int(search["per_iteration"])  # type: ignore[index]
        limit = int(search.get("max_evals") or 0)  # type: ignore[union-attr]
    except (LookupError, TypeError, ValueError):
        return 0
    return min(planned, limit) if limit else planned
