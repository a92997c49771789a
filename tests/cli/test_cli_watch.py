"""`edanas watch`: a run that another process or thread writes."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recorded_runs import SETTINGS, evaluated, failed, log, record
from rich.console import Console

from edanas.cli import main
from edanas.core.archive import Archive
from edanas.core.runfolder import RunLock
from edanas.report.live import Frame
from edanas.report.state import FINISHED, RUNNING, STOPPED, look

ROW = {
    "exits": 1,
    "thresholds": [0.1, None],
    "utilization": [0.6, 0.0, 0.4],
    "test_accuracy": 0.913,
    "validation_accuracy": 0.92,
    "ada_macs": 1e6,
    "executed_macs": 1e6,
    "backbone_macs": 2e6,
    "backbone_test_accuracy": 0.9,
    "params": 100,
}
RESULT = {"front": [{"id": "0123456789ab", **ROW}], "static_front": [], "settings": {}, "seed": 0}
EVALUATIONS = [
    evaluated(0, 0.5, 1e6, 0),
    evaluated(1, 0.8, 2e6, 0),
    failed(2, "ValueError: \x1b[31mno\x07"),
    evaluated(3, 0.7, 3e6, 0),
    evaluated(4, 0.9, 2.5e6, 1),
]


def begin(folder: Path) -> None:
    """A run of another process that is in its first iteration."""
    with Archive(folder) as archive:
        archive.set_meta("settings", SETTINGS)
        record(archive, EVALUATIONS)
    log(folder, 0, 0.41)
    log(folder, 1, 0.52, {"objective 1": "rbf tau 0.61", "objective 2": "gp tau 0.30"})
    sign(folder, os.getpid())


def sign(folder: Path, pid: int) -> None:
    (folder / "run.lock").touch()
    holder = {"pid": pid, "host": socket.gethostname(), "since": "now"}
    (folder / "run.lock.json").write_text(json.dumps(holder))


def finish(folder: Path) -> None:
    (folder / "result.json").write_text(json.dumps(RESULT))


def once(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The printed text, lines joined."""
    assert main(["watch", str(folder), "--once"]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_one_frame_tells_where_a_run_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    output = once(tmp_path, capsys)
    for part in (
        "searching, iteration 1",
        "5 of 8 candidates, 1 failed",
        "0.4100 to 0.5200",
        "Surrogate of accuracy",
        "rbf, tau 0.61",
        "gp, tau 0.30",
        EVALUATIONS[4].candidate.id,
        "90.0% at 2.50M",
        "1 candidate: ValueError:",
    ):
        assert part in output
    # What failed, and how, cannot steer the terminal.
    assert "\x1b[31m" not in output
    assert "\x07" not in output
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_search_of_backbones_shows_what_it_can_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path)
    with Archive(tmp_path) as archive:
        archive.set_meta("settings", SETTINGS | {"thresholds": "continuous"})
    # The last exit's accuracy at the backbone's cost; in the archive, all heads' cost is counted as well.
    output = once(tmp_path, capsys)
    assert "Backbones without early exits (validation, before fine-tuning)" in output
    assert "90.0% at 5.00M" in output
    assert "2 early exits" not in output
    stored = {"candidates": [[7e6, 0.6, 0, 2], [8e6, 0.7, 1, 1]]}
    (tmp_path / "result.json").write_text(json.dumps(RESULT | stored))
    os.utime(tmp_path / "run.lock.json", (0, 0))
    output = once(tmp_path, capsys)
    assert "Trade-offs of the search (validation, before fine-tuning)" in output
    assert "Backbones" not in output
    assert "8.00" in output


def test_the_step_of_a_run_is_shown(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        assert look(tmp_path).doing == "preparing: reading data, training the supernet"
        with Archive(tmp_path) as archive:
            archive.set_meta("settings", SETTINGS | {"search": {**SETTINGS["search"], "max_evals": 5}})
            record(archive, EVALUATIONS[:2])
            assert look(tmp_path).doing == "evaluating the initial archive"
            record(archive, EVALUATIONS[2:])
            assert look(tmp_path).doing == "finishing the results, finished networks: 0"
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "a.row.json").touch()
        assert look(tmp_path).doing == "finishing the results, finished networks: 1"
        assert look(tmp_path).status == RUNNING


def test_a_run_whose_process_is_gone_has_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path)
    # No process has such a number.
    sign(tmp_path, 2**22 + 1)
    assert look(tmp_path).status == STOPPED
    assert main(["watch", str(tmp_path)]) == 0
    line = "to resume, repeat the same `edanas run` with this --out"
    assert line in " ".join(capsys.readouterr().out.split())


def test_a_result_ends_a_run_until_it_is_signed_for_again(tmp_path: Path) -> None:
    begin(tmp_path)
    finish(tmp_path)
    os.utime(tmp_path / "run.lock.json", (0, 0))
    assert look(tmp_path).status == FINISHED
    os.utime(tmp_path / "result.json", (0, 0))
    sign(tmp_path, os.getpid())
    assert look(tmp_path).status == RUNNING
    sign(tmp_path, 2**22 + 1)
    assert look(tmp_path).status == FINISHED


def test_a_finished_run_shows_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish(tmp_path)
    output = once(tmp_path, capsys)
    assert "finished" in output
    assert "91.3" in output


def test_watching_follows_a_writer_and_ends_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path)
    errors: list[BaseException] = []

    def write() -> None:
        try:
            with Archive(tmp_path) as archive:
                for number in range(5, 8):
                    record(archive, [evaluated(number, 0.95, 1e6, 2)])
                    time.sleep(0.1)
            finish(tmp_path)
        except BaseException as error:
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    code = main(["watch", str(tmp_path), "--interval", "0.1"])
    writer.join()
    assert (code, errors) == (0, [])
    output = capsys.readouterr().out
    assert "8 of 8 candidates" in output
    assert "91.3" in output


def test_terminals_without_unicode_get_plain_characters(tmp_path: Path) -> None:
    begin(tmp_path)
    with (tmp_path / "out.txt").open("w", encoding="ascii") as file:
        Console(file=file, width=80).print(Frame(look(tmp_path)))
    output = (tmp_path / "out.txt").read_text()
    assert " 90.0 |" in output
    assert "_#" in output


def outside(folder: Path) -> None:
    (folder / "pictures").mkdir()


def around(folder: Path) -> None:
    for name in ("first", "second"):
        Archive(folder / name).close()


def damaged(folder: Path) -> None:
    (folder / "archive.sqlite").write_text("no database")


@pytest.mark.parametrize(
    ("make", "name", "parts"),
    [
        (outside, "nowhere", ["nowhere: no such folder; expected the folder of a run"]),
        (outside, "pictures", ["pictures: holds no run", "archive.sqlite"]),
        (around, ".", ["holds no run", "choose one of its folders: first, second"]),
        (damaged, ".", ["archive.sqlite", "this is not an archive"]),
    ],
)
def test_a_folder_that_is_no_run_is_one_clear_error(
    make: Callable[[Path], None],
    name: str,
    parts: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(tmp_path)
    assert main(["watch", str(tmp_path / name)]) == 2
    output: Any = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("Error: ")
    assert output.err.count("\n") == 1
    assert all(part in output.err for part in parts)
