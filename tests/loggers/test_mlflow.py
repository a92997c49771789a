"""Runs of the logger, read back from a local store with MLflow's own client."""

import sys
from pathlib import Path
from typing import Any

import pytest
from recorded_runs import SETTINGS, evaluated, failed, record

from edanas.core.archive import Archive
from edanas.core.contracts import IterationSummary, SurrogateNote
from edanas.core.errors import ConfigError
from edanas.loggers.mlflow import MLflowLogger

pytest.importorskip("mlflow")

ROW = {
    "id": "0123456789ab",
    "exits": 2,
    "test_accuracy": 0.75,
    "ada_macs": 1.5e6,
    "executed_macs": 2e6,
    "backbone_macs": 4e6,
    "backbone_test_accuracy": 0.8,
}
RESULT = {"front": [ROW], "static_front": [{**ROW, "exits": 0, "test_accuracy": 0.5}]}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.tracking import MlflowClient

    return MlflowClient()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "first run").mkdir()
    return tmp_path / "first run"


def runs(client: Any, experiment: str = "edanas") -> list[Any]:
    known = client.get_experiment_by_name(experiment)
    return list(client.search_runs([known.experiment_id])) if known else []


def values(client: Any, run: Any, name: str) -> list[tuple[int, float]]:
    return [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, name)]


def test_a_logged_run_can_be_read(client: Any, folder: Path) -> None:
    (folder / "report.html").write_text("<p>report</p>")
    logger = MLflowLogger()
    long = {"weights": "x" * 2000, "empty": "", "odd [name]": 1}
    logger.edanas_run_started({**SETTINGS, **long}, folder)
    logger.edanas_candidate_evaluated(evaluated(0, 0.5, 1e6, 0))
    logger.edanas_candidate_evaluated(failed(1, "no"))
    logger.edanas_candidate_evaluated(evaluated(2, 0.625, 3e6, 0))
    logger.edanas_iteration_finished(
        IterationSummary(1, 3, 1, 0.5, (), {"objective 1": SurrogateNote("rbf", 0.61, 0)})
    )
    (run,) = runs(client)
    assert run.info.status == "RUNNING"
    logger.edanas_run_finished(RESULT, folder)
    (run,) = runs(client)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first run")
    assert run.data.params["search.initial"] == "4"
    assert run.data.params["objectives"] == "['accuracy', 'ada-macs']"
    assert set(run.data.params["weights"]) == {"x"}
    assert values(client, run, "candidate/validation_accuracy") == [(0, 0.5), (2, 0.625)]
    assert values(client, run, "candidate/failed") == [(0, 0.0), (1, 1.0), (2, 0.0)]
    assert values(client, run, "search/hypervolume") == [(1, 0.5)]
    assert values(client, run, "search/tau/accuracy") == [(1, 0.61)]
    assert values(client, run, "result/test_accuracy") == [(0, 0.75), (1, 0.5)]
    assert [each.path for each in client.list_artifacts(run.info.run_id)] == ["report.html"]


def test_a_resumed_run_continues_the_logged_run(client: Any, folder: Path) -> None:
    with Archive(folder) as archive:
        for number in range(2):
            logger = MLflowLogger()
            # A larger budget: parameters stay as the run began.
            logger.edanas_run_started({**SETTINGS, "budget": number}, folder)
            new = evaluated(number, 0.5, 1e6, 0)
            record(archive, [new])
            logger.edanas_candidate_evaluated(new)
            logger.edanas_run_finished(RESULT, folder)
    (run,) = runs(client)
    assert run.data.params["budget"] == "0"
    assert values(client, run, "candidate/validation_accuracy") == [(0, 0.5), (1, 0.5)]


def test_a_run_outside_the_store_starts_a_new_one(
    client: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    (folder / "mlflow.json").write_text('{"run_id": "0123456789abcdef0123456789abcdef"}')
    MLflowLogger().edanas_run_started(SETTINGS, folder)
    assert len(runs(client, "mine")) == 1
    assert runs(client) == []


def test_no_second_run_starts_if_the_store_does_not_respond(
    client: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MLflowLogger().edanas_run_started(SETTINGS, folder)
    record = (folder / "mlflow.json").read_text()
    logger = MLflowLogger()

    def unreachable(_: str) -> None:
        raise ConnectionError("unreachable")

    monkeypatch.setattr(logger._client, "get_run", unreachable)
    with pytest.raises(ConnectionError):
        logger.edanas_run_started(SETTINGS, folder)
    logger.edanas_candidate_evaluated(evaluated(0, 0.5, 1e6, 0))
    assert len(runs(client)) == 1
    assert (folder / "mlflow.json").read_text() == record


def test_nothing_is_sent_after_a_failure(client: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = MLflowLogger()
    logger.edanas_run_started(SETTINGS, folder)
    tries = []

    def unreachable(*_: Any, **__: Any) -> None:
        tries.append(1)
        raise ConnectionError("unreachable")

    monkeypatch.setattr(logger._client, "log_batch", unreachable)
    with pytest.raises(ConnectionError):
        logger.edanas_candidate_evaluated(evaluated(0, 0.5, 1e6, 0))
    logger.edanas_candidate_evaluated(evaluated(1, 0.5, 1e6, 0))
    logger.edanas_run_finished(RESULT, folder)
    assert len(tries) == 1


def test_a_missing_package_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "strange://place")
    with pytest.raises(ConfigError, match=r"loggers: 'mlflow' cannot use its store: .*MLFLOW_TRACKING_URI"):
        MLflowLogger()
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(ConfigError, match=r"loggers: 'mlflow' needs .*'edanas\[mlflow\]'"):
        MLflowLogger()
