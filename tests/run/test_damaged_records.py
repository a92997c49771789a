"""A flipped bit of a record is named, or without effect, whatever the record."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edanas.core.errors import RunError, WeightsError
from edanas.core.settings import Settings
from edanas.core.types import ImageSet, SegmentFigures
from edanas.evaluation.kept_logits import _digest, _read
from edanas.evaluation.measured_times import measure_once
from edanas.report.result import Result
from edanas.run.folder import RunFolder
from edanas.run.time_plan import TimePlan
from edanas.training.supernet_file import load, read_recipe, trained_share, write

FIGURES = SegmentFigures((5, 6), (1,), 2)
IMAGES = ImageSet(torch.arange(8, dtype=torch.uint8).view(2, 1, 2, 2), torch.tensor([0, 1]), ("a", "b"))


def flips(path: Path, count: int = 150) -> list[bytes]:
    """Return copies of a file's content with one flipped bit each."""
    content, rng = path.read_bytes(), np.random.default_rng(0)
    copies = []
    for at in rng.choice(8 * len(content), min(count, 8 * len(content)), replace=False):
        damaged = bytearray(content)
        damaged[at // 8] ^= 1 << at % 8
        copies.append(bytes(damaged))
    return copies


def plan(folder: Path) -> tuple[Path, Callable[[], Any]]:
    settings = Settings(time_limit=60.0)
    first = TimePlan.of_run(folder, settings, time.monotonic())
    assert first is not None
    first.keep("results", [3, 3])

    def read() -> Any:
        again = TimePlan.of_run(folder, settings, time.monotonic())
        return again and {key: again.content[key] for key in ("limit", "results", "spent")}

    return folder / "plan.json", read


def times(folder: Path) -> tuple[Path, Callable[[], Any]]:
    measure_once(folder, "latency", "backbone", lambda: FIGURES)
    return folder / "times.jsonl", lambda: measure_once(folder, "latency", "backbone", lambda: FIGURES)


def seconds(folder: Path) -> tuple[Path, Callable[[], Any]]:
    run = RunFolder(folder, Settings())
    run.write_seconds(123.45)
    return folder / "seconds.json", run.read_seconds


def weights(folder: Path) -> tuple[Path, Callable[[], Any]]:
    path = folder / "net.safetensors"
    torch.manual_seed(0)
    write(path, {"supernet": nn.Linear(2, 3)}, {"settings": {"seed": 7}, "epochs": 2}, IMAGES, half=True)

    def read() -> Any:
        own = nn.Linear(2, 3)
        load(path, {"supernet": own})
        values = [tensor.tolist() for tensor in own.state_dict().values()]
        return values, read_recipe(path)["epochs"], trained_share(path, IMAGES)

    return path, read


@pytest.mark.parametrize("record", [plan, times, seconds, weights])
def test_a_flipped_bit_is_named_or_without_effect(
    record: Callable[[Path], tuple[Path, Callable[[], Any]]], tmp_path: Path
) -> None:
    path, read = record(tmp_path)
    expected, named = read(), 0
    for content in flips(path):
        path.write_bytes(content)
        try:
            assert read() == expected
        except (RunError, WeightsError) as error:
            named += 1
            assert str(path) in str(error)
    assert named > 50


def test_files_of_older_versions_are_read(tmp_path: Path) -> None:
    (tmp_path / "seconds.json").write_text("12.50\n")
    assert RunFolder(tmp_path, Settings()).read_seconds() == 12.5
    line = '{"meter": "latency", "backbone": "backbone", "stages": [5, 6], "heads": [1], "last": 2}\n'
    (tmp_path / "times.jsonl").write_text(line)
    assert measure_once(tmp_path, "latency", "backbone", lambda: SegmentFigures((), (), 0)) == FIGURES
    (tmp_path / "plan.json").write_text('{"limit": 60.0, "results": [3, 3]}')
    older = TimePlan.of_run(tmp_path, Settings(time_limit=60.0), time.monotonic())
    assert older is not None
    assert older.content["results"] == [3, 3]


def test_damaged_inputs_of_a_finished_run_are_written_again(tmp_path: Path) -> None:
    run, messages = RunFolder(tmp_path, Settings()), list[str]()
    facts = {"versions": {"python": "3.12"}, "seed": 0}
    run.write_inputs(facts)
    content = {"front": [], "static_front": [], "pareto": [], "settings": {}, "seed": 0}
    result = Result(tmp_path, {**content, "environment": facts})
    for name in ("env.json", "config.toml"):
        path = tmp_path / name
        intact = path.read_bytes()
        run.restore_inputs(result, messages.append)
        assert not messages
        for content in flips(path, 20):
            path.write_bytes(content)
            run.restore_inputs(result, messages.append)
            assert path.read_bytes() == intact or not messages
            messages.clear()
        path.unlink()
        run.restore_inputs(result, messages.append)
        assert (path.read_bytes(), messages) == (
            intact,
            [f"{path}: is damaged or missing; the file is written again from the result"],
        )
        messages.clear()


def test_damaged_logits_of_a_teacher_are_computed_again(tmp_path: Path) -> None:
    path, logits = tmp_path / "teacher.npy", np.arange(12, dtype=np.float16).reshape(2, 2, 3)
    np.save(path, logits)
    assert _read(path) is None  # of an older version
    with path.open("r+b") as content:
        content.write(_digest(content))
    stored = _read(path)
    assert stored is not None
    assert np.array_equal(stored, logits)
    for content in flips(path):
        path.write_bytes(content)
        assert _read(path) is None
