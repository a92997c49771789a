"""Event files of the logger, read back with TensorBoard's own reader."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from recorded_runs import SETTINGS, evaluated, failed, record

from edanas.core.archive import Archive
from edanas.core.contracts import IterationSummary, SurrogateNote
from edanas.core.errors import ConfigError
from edanas.loggers.tensorboard import TensorBoardLogger

pytest.importorskip("tensorboard")

RESULT = {
    "front": [
        {
            "id": "0123456789ab",
            "exits": 2,
            "test_accuracy": 0.75,
            "ada_macs": 1.5e6,
            "executed_macs": 2e6,
            "backbone_macs": 4e6,
            "backbone_test_accuracy": 0.8,
        }
    ],
    "static_front": [],
}


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return events


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, pytest.approx(event.value)) for event in read(folder).Scalars(name)]


def summary(iteration: int, hypervolume: float, *notes: str) -> IterationSummary:
    named = {f"objective {number}": note for number, note in enumerate(notes, 1)}
    return IterationSummary(iteration, 3, 1, hypervolume, (), named)


def test_a_logged_run_can_be_read(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10), (255, 0, 0)).save(tmp_path / "pareto.png")
    logger = TensorBoardLogger()
    logger.edanas_run_started(SETTINGS, tmp_path)
    logger.edanas_candidate_evaluated(evaluated(0, 0.5, 1e6, 0))
    logger.edanas_candidate_evaluated(failed(1, "ValueError: no"))
    logger.edanas_candidate_evaluated(evaluated(2, 0.625, 3e6, 0))
    logger.edanas_iteration_finished(summary(0, 0.25))
    notes = SurrogateNote("rbf", 0.61, 0), SurrogateNote("gp", -0.25, 1), SurrogateNote("cart", 0.5, 2)
    logger.edanas_iteration_finished(summary(1, 0.5, *notes, "text of a third party tau 0.5"))
    # What an iteration brought can be watched before the run ends.
    assert scalars(tmp_path, "search/hypervolume") == [(0, 0.25), (1, 0.5)]
    logger.edanas_run_finished(RESULT, tmp_path)
    assert scalars(tmp_path, "candidate/validation_accuracy") == [(0, 0.5), (2, 0.625)]
    assert scalars(tmp_path, "candidate/executed_macs_m") == [(0, 1.0), (2, 3.0)]
    assert scalars(tmp_path, "candidate/failed") == [(0, 0.0), (1, 1.0), (2, 0.0)]
    assert scalars(tmp_path, "search/tau/accuracy") == [(1, 0.61)]
    assert scalars(tmp_path, "search/tau/ada-macs") == [(1, -0.25)]
    assert scalars(tmp_path, "search/tau/objective_3") == [(1, 0.5)]
    assert "search/tau/objective_4" not in read(tmp_path).Tags()["scalars"]
    assert scalars(tmp_path, "result/test_accuracy") == [(0, 0.75)]
    events = read(tmp_path)
    text = {
        tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in events.Tags()["tensors"]
    }
    assert "initial = 4" in text["settings/text_summary"]
    assert "0: 2-exits-0123456789ab" in text["result/networks/text_summary"]
    assert "ValueError: no" in text["candidate/error/text_summary"]
    picture = events.Images("fronts")[0]
    assert (picture.width, picture.height) == (20, 10)


def test_a_resumed_run_continues_the_count(tmp_path: Path) -> None:
    done = [evaluated(0, 0.5, 1e6, 0), failed(1, "no")]
    with Archive(tmp_path) as archive:
        record(archive, done)
        for number in (2, 3):
            logger = TensorBoardLogger()
            logger.edanas_run_started(SETTINGS, tmp_path)
            new = evaluated(number, 0.75, 1e6, 0)
            record(archive, [new])
            logger.edanas_candidate_evaluated(new)
            logger.edanas_run_finished(RESULT, tmp_path)
    steps = [step for step, _ in scalars(tmp_path, "candidate/validation_accuracy")]
    assert steps == [2, 3]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"loggers: 'tensorboard' needs .*'edanas\[tensorboard\]'"):
        TensorBoardLogger()


def test_a_logger_that_could_not_start_is_silent(tmp_path: Path) -> None:
    logger = TensorBoardLogger()
    (tmp_path / "tensorboard").write_text("in the way")
    with pytest.raises(OSError, match="tensorboard"):
        logger.edanas_run_started(SETTINGS, tmp_path)
    logger.edanas_candidate_evaluated(failed(0, "no"))
    logger.edanas_iteration_finished(summary(0, 0.5))
    logger.edanas_run_finished(RESULT, tmp_path)
    assert np.array_equal(list(tmp_path.iterdir()), [tmp_path / "tensorboard"])
