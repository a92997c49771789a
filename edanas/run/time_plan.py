"""The division of a run's time limit among its stages, and the file that repeats it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edanas.core.errors import RunError
from edanas.core.machine import user_path
from edanas.core.records import parse, sealed_text, unsealed
from edanas.core.runfolder import replace_file
from edanas.training.pace import Pace

if TYPE_CHECKING:
    from edanas.core.settings import SearchSettings, Settings

FILE = "plan.json"
"""Name of the plan in a run folder."""

TRAINING, SEARCH = 0.45, 0.35
"""Share of the remaining time for the supernet, and of the time after it for the search."""

CANDIDATES = 0.6
"""Share of the remaining time for a search that trains each candidate."""

RESERVE, LEAST_RESERVE = 0.015, 1.5
"""Time for the report: a share of the time limit, and the least number of seconds."""

CANDIDATE_STEPS = "candidate_steps"
"""Name, in the plan, of the number of steps of each candidate's training."""

_EVALUATIONS, _SUPERNET, _NETWORKS = "evaluations", "supernet", "networks"


class TimePlan:
    """The plan of a run with a time limit: numbers of steps and evaluations that follow from measured speed.

    Every number is stored before it takes effect. A resumed run repeats the stored numbers, and so does a
    run whose setting `plan` names the file.

    Args:
        path: The file of the plan.
        limit: The time limit of the run in seconds; infinite for a repeated plan.
        started: The start of this process's work, on the clock of `time.monotonic`.
        content: The stored plan: numbers by name.
        fixed: True for a repeated plan, which makes no new numbers.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plan = TimePlan(Path(folder) / FILE, 60.0, time.monotonic(), {}, fixed=False)
        ...     plan.keep("evaluations", 40)
        ...     plan.remaining() <= 60
        True
    """

    def __init__(
        self, path: Path, limit: float, started: float, content: Mapping[str, Any], *, fixed: bool
    ) -> None:
        self.path, self.limit, self.started, self.fixed = path, limit, started, fixed
        self.content = dict(content)
        self._spent = float(self.content.get("spent", 0.0))

    @classmethod
    def of_run(cls, folder: Path, settings: Settings, started: float) -> TimePlan | None:
        """Return the plan of a run; `None` if the run has neither a time limit nor a plan to repeat.

        Raises:
            RunError: The file of the plan is missing or damaged.
        """
        path, source = folder / FILE, user_path(settings.plan) if settings.plan else None
        if source is None and not settings.time_limit:
            return None
        advice = "; delete it to plan the rest of the run anew"
        content = _read(path, advice) if path.exists() else {}
        if source is not None:
            fixed = {key: value for key, value in _read(source).items() if key not in ("spent", "limit")}
            return cls(path, math.inf, started, fixed, fixed=True)
        if content.get("limit") != settings.time_limit:
            # The search of a run with another time limit may go on.
            content = {key: value for key, value in content.items() if key != _EVALUATIONS}
        content["limit"] = settings.time_limit
        return cls(path, settings.time_limit, started, content, fixed=False)

    def remaining(self) -> float:
        """Return the remaining time of the run in seconds, without the reserve for the report."""
        reserve = max(LEAST_RESERVE, RESERVE * self.limit)
        return self.limit - self._spent - (time.monotonic() - self.started) - reserve

    def keep(self, name: str, value: Any) -> None:
        """Store a number of the plan, or several, on disk.

        Raises:
            RunError: The file cannot be written.
        """
        self.content[name] = value
        self.save()

    def save(self) -> None:
        """Store the plan, with the time that the run has taken.

        Raises:
            RunError: The file cannot be written.
        """
        if not self.fixed:
            self.content["spent"] = round(self._spent + time.monotonic() - self.started, 2)
        replace_file(self.path, sealed_text(self.content))

    def supernet_pace(self) -> Pace:
        """Return the pace of the supernet's training."""
        return self._pace(self.remaining() * TRAINING, _SUPERNET, self.content.setdefault(_SUPERNET, {}))

    def network_pace(self, candidate: str, limit: float) -> Pace:
        """Return the pace of a result's training.

        Args:
            candidate: The id of the candidate.
            limit: Time for the training, in seconds.
        """
        networks = self.content.setdefault(_NETWORKS, {})
        return self._pace(limit, _NETWORKS, networks.setdefault(candidate, {}))

    def _pace(self, limit: float, name: str, stored: dict[str, int]) -> Pace:
        def record(fits: Mapping[int, int]) -> None:
            stored.update({str(step): steps for step, steps in fits.items()})
            self.save()

        return Pace(
            limit, {int(step): int(steps) for step, steps in stored.items()}, record, fixed=self.fixed
        )

    def limited_search(self, settings: SearchSettings, share: float = SEARCH) -> SearchSettings:
        """Return the length of the search: the stored number of evaluations, or a share of the time."""
        if _EVALUATIONS in self.content:
            return replace(settings, max_evals=int(self.content[_EVALUATIONS]), time_limit=0.0)
        if self.fixed:
            return settings
        limit = max(1e-3, self.remaining() * share)
        return replace(settings, time_limit=min(settings.time_limit or math.inf, limit))

    def searched(self, evaluations: int) -> None:
        """Store the number of evaluations at the end of the search."""
        self.keep(_EVALUATIONS, evaluations)

    def decided(self, name: str, decide: Callable[[], Any]) -> Any:
        """Return a stored value, or decide and store it."""
        if name not in self.content:
            self.keep(name, decide())
        return self.content[name]


def _read(path: Path, advice: str = "") -> dict[str, Any]:
    try:
        content = unsealed(parse(path.read_bytes()))
        for fits in (content.get(_SUPERNET, {}), *content.get(_NETWORKS, {}).values()):
            if not all(int(step) >= 0 and int(steps) >= 1 for step, steps in fits.items()):
                raise ValueError("numbers of steps: found a number below 1")
        if (
            min(int(content.get(name, 1)) for name in (_EVALUATIONS, CANDIDATE_STEPS)) < 1
            or not float(content.get("spent", 0)) >= 0
        ):
            raise ValueError("evaluations, candidate_steps or spent: found a number that is too small")
    except (OSError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise RunError(f"{path}: is not the plan of a run, or damaged ({error}){advice}") from error
    return dict(content)
