"""Where a run stands, read from its folder while another process may be writing there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.errors import RunError
from edanas.core.runfolder import LOCK, MODELS, holder_runs
from edanas.report.history import History, read_history
from edanas.report.result import FILE as RESULT
from edanas.report.result import Result

RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"


@dataclass(frozen=True)
class RunState:
    """One look at a run.

    Args:
        folder: Its folder.
        status: `running`, `finished`, or `stopped`: ended without a result.
        history: Its archive and log.
        planned: Evaluations that its settings ask for; 0 where they are not known yet.
        networks: Networks finished so far.
        result: Of a finished run.
    """

    folder: Path
    status: str
    history: History
    planned: int
    networks: int
    result: Result | None

    @property
    def settings(self) -> Mapping[str, Any]:
        """The run's settings as plain values; empty where they are not known yet."""
        return self.history.settings or (self.result.settings if self.result else {})

    @property
    def doing(self) -> str:
        """What the run is at, in words."""
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
    """Read where the run in `folder` stands. Nothing is changed or locked.

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
    """By the files and the process that signed the lock; one that cannot be asked after is taken to run."""
    runs, signed = holder_runs(folder), folder / f"{LOCK}.json"
    if (folder / RESULT).exists():
        later = signed.exists() and signed.stat().st_mtime_ns > (folder / RESULT).stat().st_mtime_ns
        # Signed again after the result was written: the run goes on with a larger budget.
        return RUNNING if later and runs else FINISHED
    return STOPPED if runs is False else RUNNING


def _planned(settings: Mapping[str, Any]) -> int:
    search = settings.get("search")
    try:
        wanted = int(search["initial"]) + int(search["iterations"]) * int(search["per_iteration"])  # type: ignore[index]
        limit = int(search.get("max_evals") or 0)  # type: ignore[union-attr]
    except (LookupError, TypeError, ValueError):
        return 0
    return min(wanted, limit) if limit else wanted
