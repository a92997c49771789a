"""Killed at any moment and resumed, a search ends with the archive of one that was never disturbed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import searcher
from waiting import PATIENCE

from edanas.core.archive import Archive
from edanas.core.errors import RunError
from edanas.core.runfolder import RunLock

SCRIPT = Path(searcher.__file__)


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def recorded(folder: Path) -> list[Any]:
    with Archive(folder) as archive:
        return [(genome.tolist(), evaluation) for genome, evaluation in archive.replay()]


def resumed(folder: Path) -> list[Any]:
    searcher.search(folder, lambda *_, **__: None)
    return recorded(folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    found = resumed(tmp_path_factory.mktemp("undisturbed"))
    assert len(found) == searcher.TOTAL
    assert {evaluation.ok for _, evaluation in found} == {True, False}
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the sweep forks")
def test_killed_before_each_statement_of_the_archive(tmp_path: Path, undisturbed: list[Any]) -> None:
    process = start("sweep", tmp_path)
    answer, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    killed = int(answer)
    sizes = set()
    for folder in (tmp_path / str(index) for index in range(killed)):
        before = recorded(folder)
        assert before == undisturbed[: len(before)]
        sizes.add(len(before))
        assert resumed(folder) == undisturbed
    # There was a kill between any two evaluations, before the first, and after the last.
    assert sizes == set(range(searcher.TOTAL + 1))
    assert recorded(tmp_path / str(killed)) == undisturbed


@pytest.mark.parametrize("workers", [0, 2])
def test_a_printed_candidate_survives_a_kill_and_the_folder_is_free(
    workers: int, tmp_path: Path, undisturbed: list[Any]
) -> None:
    process = start("run", tmp_path, "--pause", 7, "--workers", workers)
    printed = lines(process, 7)
    assert process.poll() is None, process.communicate()
    with pytest.raises(RunError, match=rf"is used by process {process.pid} on .* since 2"), RunLock(tmp_path):
        pass
    process.kill()
    # Workers hold these pipes too: they end only when the workers have ended.
    assert process.communicate(timeout=PATIENCE)[0] == ""
    assert process.returncode == -signal.SIGKILL
    before = recorded(tmp_path)
    assert [evaluation.candidate.id for _, evaluation in before] == printed
    assert before == undisturbed[:7]
    assert resumed(tmp_path) == undisturbed


def test_ctrl_c_ends_tidily_and_says_how_to_go_on(tmp_path: Path, undisturbed: list[Any]) -> None:
    process = start("run", tmp_path, "--pause", 2, "--workers", 2)
    printed = lines(process, 2)
    # As a terminal does: to the workers too, of which one may be importing still.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert (
        errors == "interrupted after 2 evaluations, which are kept; run the same again to go on from there\n"
    )
    # Nothing is left beside the database: it was closed.
    assert not (tmp_path / "archive.sqlite-wal").exists()
    assert [evaluation.candidate.id for _, evaluation in recorded(tmp_path)] == printed
    assert resumed(tmp_path) == undisturbed
