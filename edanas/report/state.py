"""State of a run, read from its folder while another process may write there."""

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


@dataclass(frozen=True)
class RunState:
    """Snapshot of a run.

    Args:
        folder: The run folder.
        status: `running`, `finished`, or `stopped`: ended without a result.
        history: The archive and the log.
        planned: Number of evaluations by the settings; 0 = not known yet.
        networks: Number of finished networks.
        result: The result of a finished run, otherwise `None`.
    """

    folder: Path
    status: str
    history: RunHistory
    planned: int
    networks: int
    result: Result | None

    @property
    def settings(self) -> Mapping[str, Any]:
        """The run's settings as plain values; empty if they are not known yet."""
        return self.history.settings or (self.result.settings if self.result else {})

    @property
    def doing(self) -> str:
        """The current activity, in words."""
        done = len(self.history.evaluations)
        if self.status != RUNNING:
            stopped = "stopped before its end; the same `edanas run` with this --out goes on"
            return FINISHED if self.status == FINISHED else stopped
        if self.networks or (self.planned and done >= self.planned):
            return f"finishing the results, {self.networks} written"
        if not done:
            return "preparing: reading data, training the supernet"
        iteration = self.history.evaluations[-1].iteration
        return f"searching, iteration {iteration}" if iteration else "evaluating the initial archive"


def look(folder: Path) -> RunState:
    """Read the state of the run in `folder`, without changing or locking anything.

    Raises:
        RunError: The folder holds no run, or one that cannot be read.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; expected the folder of a run")
    if not any((folder / name).exists() for name in (ARCHIVE, RESULT, LOCK)):
        inside = sorted(path.parent.name for path in folder.glob(f"*/{ARCHIVE}"))
        hint = f"; it holds the runs {', '.join(inside[-5:])}: name one of them" if inside else ""
        raise RunError(f"{folder}: holds no run; expected a folder with {ARCHIVE}{hint}")
    status = _status(folder)
    history = read_history(folder)
    networks = sum(1 for _ in folder.glob(f"{MODELS}/*.row.json"))
    result = Result.read(folder) if status == FINISHED else None
    return RunState(folder, status, history, _planned(history.settings), networks, result)


def _status(folder: Path) -> str:
    """Return the status by the files and the lock's process; an unknown process counts as running."""
    is_running, signed = holder_runs(folder), folder / f"{LOCK}.json"
    if (folder / RESULT).exists():
        is_newer = signed.exists() and signed.stat().st_mtime_ns > (folder / RESULT).stat().st_mtime_ns
        # A lock that is newer than the result: the run continues with a larger budget.
        return RUNNING if is_newer and is_running else FINISHED
    return STOPPED if is_running is False else RUNNING


def _planned(settings: Mapping[str, Any]) -> int:
    search = settings.get("search")
    try:
        planned = int(search["initial"]) + int(search["iterations"]) * int(search["per_iteration"])  # type: ignore[index]
        limit = int(search.get("max_evals") or 0)  # type: ignore[union-attr]
    except (LookupError, TypeError, ValueError):
        return 0
    return min(planned, limit) if limit else planned
