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
from edanas.core.records import parse
from edanas.core.runfolder import replace_file
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
"""The file in the run folder with the id of the MLflow run, which a resumed run continues."""

EXPERIMENT = "edanas"
"""The default name of the experiment; the environment variable `MLFLOW_EXPERIMENT_NAME` overrides it."""

_FILES = ("result.json", "report.html", "pareto.svg", "pareto.csv")
_BATCH, _LONGEST = 100, 500
"""The largest numbers that all versions of MLflow accept: parameters in a call, characters in a parameter."""


class MLflowLogger(Logger):
    """Logger to MLflow: settings as parameters, measured values as metrics, report and result as artifacts.

    The environment variable `MLFLOW_TRACKING_URI` names MLflow's store; if it is not set, MLflow uses its
    default store. An interrupted run has the status `RUNNING` in MLflow until it is resumed and finishes. If
    MLflow cannot be reached, the logger sends nothing more until the run is resumed.

    Raises:
        MissingExtraError: The package mlflow is not installed.
        ConfigError: MLflow cannot use its store.
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
                "the environment variable MLFLOW_TRACKING_URI, or remove 'mlflow' from `loggers`"
            ) from error
        self._run = ""
        self._objectives: list[str] = []
        self._candidates = 0

    def files(self) -> Sequence[str]:
        """See `Logger.files`."""
        return (RECORD,)

    @hookimpl
    def edanas_run_started(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Start an MLflow run, or continue the MLflow run of this run folder."""
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
        """Send the measured values of the candidate."""
        self._send(candidate_figures(evaluation), self._candidates)
        self._candidates += 1

    @hookimpl
    def edanas_iteration_finished(self, summary: IterationSummary) -> None:
        """Send the measured values of the iteration."""
        self._send(iteration_figures(summary, self._objectives), summary.iteration)

    @hookimpl
    def edanas_run_finished(self, result: Mapping[str, Any], folder: Path) -> None:
        """Send the values of the finished networks, the report and the result, and end the MLflow run."""
        for number, (_, figures) in enumerate(result_figures(result)):
            self._send(figures, number)
        if not self._run:
            return
        for name in _FILES:
            if (folder / name).is_file():
                self._client.log_artifact(self._run, str(folder / name))
        self._client.set_terminated(self._run)

    def _stored_run(self, path: Path) -> str:
        """Return the id of the MLflow run in the file `path`, or an empty text if there is no such run.

        The id is empty if the file is missing or damaged, or the store has no run of this id. Any other error
        of the store is raised, so that a brief failure of the server does not start a second MLflow run.
        """
        try:
            run = str(parse(path.read_text(encoding="utf-8"))["run_id"])
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
        replace_file(folder / RECORD, json.dumps({"run_id": run, "experiment": name}).encode() + b"\n")
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
            # The client has retried for minutes, and a run must not wait for minutes after each candidate.
            self._run = ""
            raise


def _allowed_name(name: str) -> str:
    """Return a name with `_` in place of each character that MLflow does not allow."""
    return re.sub(r"[^A-Za-z0-9_\-. /]", "_", name)


@hookimpl
def edanas_loggers() -> Mapping[str, Callable[..., Logger]]:
    """Register the logger `mlflow`."""
    return {"mlflow": MLflowLogger}
