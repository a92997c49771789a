"""Logger that writes to an MLflow tracking server or a local MLflow store."""

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas.core.contracts import IterationSummary, Logger
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.optional_packages import import_optional
from edanas.core.settings import labels
from edanas.core.types import Evaluation
from edanas.loggers.run_figures import (
    archived_count,
    candidate_figures,
    flat_settings,
    iteration_figures,
    result_figures,
)

RECORD = "mlflow.json"
"""The file in a run's folder with the MLflow run's id, with which a resumed run goes on."""

EXPERIMENT = "edanas"
"""The experiment's name, unless the environment variable `MLFLOW_EXPERIMENT_NAME` is set."""

_FILES = ("result.json", "report.html", "pareto.svg", "pareto.csv")
_BATCH, _LONGEST = 100, 500
"""The largest number of parameters in one call, and of characters in one, that every MLflow accepts."""


class MLflowLogger(Logger):
    """Logger to MLflow: settings as parameters, figures as metrics, report and result as artifacts.

    The environment variable `MLFLOW_TRACKING_URI` names the store; without it, MLflow's default holds. An
    interrupted run stays `RUNNING` in MLflow until it is resumed and finishes. If MLflow cannot be reached,
    the logger sends nothing more until the run is resumed.
    """

    def __init__(self) -> None:
        self._entities = import_optional("loggers", "mlflow", "mlflow", "mlflow.entities")
        tracking = import_optional("loggers", "mlflow", "mlflow", "mlflow.tracking")
        try:
            self._client: Any = tracking.MlflowClient()
        except Exception as error:
            text = " ".join(str(error).split())
            raise ConfigError(
                f"loggers: 'mlflow' cannot use its store: {text} Name a tracking server or another store in "
                "the environment variable MLFLOW_TRACKING_URI, or leave the logger out"
            ) from error
        self._run = ""
        self._objectives: list[str] = []
        self._candidates = 0

    def files(self) -> Sequence[str]:
        """See `Logger.files`."""
        return (RECORD,)

    @hookimpl
    def edanas_run_started(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Begin an MLflow run, or go on with that of this folder."""
        self._candidates = archived_count(folder)
        self._objectives = labels(settings.get("objectives") or [])
        run = self._stored_run(folder / RECORD)
        if run:
            self._client.update_run(run, "RUNNING")
        else:
            run = self._begin(folder)
            self._send_settings(run, settings)
        self._run = run

    @hookimpl
    def edanas_candidate_evaluated(self, evaluation: Evaluation) -> None:
        """Send the candidate's figures."""
        self._send(candidate_figures(evaluation), self._candidates)
        self._candidates += 1

    @hookimpl
    def edanas_iteration_finished(self, summary: IterationSummary) -> None:
        """Send the iteration's figures."""
        self._send(iteration_figures(summary, self._objectives), summary.iteration)

    @hookimpl
    def edanas_run_finished(self, result: Mapping[str, Any], folder: Path) -> None:
        """Send the figures of the results, report and result, and end the MLflow run."""
        for number, (_, figures) in enumerate(result_figures(result)):
            self._send(figures, number)
        if not self._run:
            return
        for name in _FILES:
            if (folder / name).is_file():
                self._client.log_artifact(self._run, str(folder / name))
        self._client.set_terminated(self._run)

    def _stored_run(self, path: Path) -> str:
        """Return the id of this folder's MLflow run; empty if it has none or the store does not know it.

        Other errors are raised, so that no second run begins while a server is away for a moment.
        """
        try:
            run = str(json.loads(path.read_text(encoding="utf-8"))["run_id"])
        except (OSError, ValueError, LookupError, TypeError):
            return ""
        try:
            self._client.get_run(run)
        except Exception as error:
            if getattr(error, "error_code", "") != "RESOURCE_DOES_NOT_EXIST":
                raise
            return ""
        return run

    def _begin(self, folder: Path) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self._client.create_experiment(name)
        run = str(self._client.create_run(experiment, run_name=folder.resolve().name).info.run_id)
        (folder / RECORD).write_text(json.dumps({"run_id": run, "experiment": name}) + "\n", encoding="utf-8")
        return run

    def _send_settings(self, run: str, settings: Mapping[str, Any]) -> None:
        values = [
            self._entities.Param(_allowed_name(name), value[:_LONGEST] or "(empty)")
            for name, value in flat_settings(settings).items()
        ]
        for start in range(0, len(values), _BATCH):
            self._client.log_batch(run, params=values[start : start + _BATCH])

    def _send(self, figures: Mapping[str, float], step: int) -> None:
        if not self._run:
            return
        now = int(time.time() * 1000)
        metrics = [
            self._entities.Metric(_allowed_name(name), value, now, step) for name, value in figures.items()
        ]
        try:
            self._client.log_batch(self._run, metrics=metrics)
        except Exception:
            # The client has tried for minutes; the run must not wait that long for each candidate.
            self._run = ""
            raise


def _allowed_name(name: str) -> str:
    """Replace the characters that MLflow does not allow in a name."""
    return re.sub(r"[^A-Za-z0-9_\-. /]", "_", name)


@hookimpl
def edanas_loggers() -> Mapping[str, Callable[..., Logger]]:
    """Return the logger `mlflow`."""
    return {"mlflow": MLflowLogger}
