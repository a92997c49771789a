"""A search that is killed at any moment and resumed ends with the archive of an uninterrupted one."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import searcher
from forked import Forked
from waiting import PATIENCE

from edanas.core.archive import Archive
from edanas.core.errors import RunError
from edanas.core.runfolder import RunLock


def start(call: Callable[..., None], *arguments: object) -> Forked:
    return Forked(lambda: searcher.exit_code(lambda: call(*arguments)))


def read_lines(process: Forked, count: int) -> list[str]:
    return [process.stdout.readline().strip() for _ in range(count)]


def recorded(folder: Path) -> list[Any]:
    with Archive(folder) as archive:
        return [(genome.tolist(), evaluation) for genome, evaluation in archive.replay()]


def resume(folder: Path) -> list[Any]:
    searcher.search(folder, lambda *_, **__: None)
    return recorded(folder)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    archive = resume(tmp_path_factory.mktemp("undisturbed"))
    assert len(archive) == searcher.TOTAL
    assert {evaluation.ok for _, evaluation in archive} == {True, False}
    return archive


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the sweep forks")
def test_a_search_killed_before_any_statement_of_the_archive_resumes(
    tmp_path: Path, reference: list[Any]
) -> None:
    process = start(searcher.sweep, tmp_path)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    killed = int(output)
    sizes = set()
    for folder in (tmp_path / str(index) for index in range(killed)):
        before = recorded(folder)
        assert before == reference[: len(before)]
        sizes.add(len(before))
        assert resume(folder) == reference
    # A kill fell between any two evaluations, before the first and after the last.
    assert sizes == set(range(searcher.TOTAL + 1))
    assert recorded(tmp_path / str(killed)) == reference


@pytest.mark.parametrize("workers", [0, 2])
def test_a_printed_candidate_survives_a_kill_and_the_folder_is_free(
    workers: int, tmp_path: Path, reference: list[Any]
) -> None:
    process = start(searcher.run, tmp_path, workers, 7)
    printed = read_lines(process, 7)
    assert process.poll() is None, process.communicate()
    with pytest.raises(RunError, match=rf"is used by process {process.pid} on .* since 2"), RunLock(tmp_path):
        pass
    process.kill()
    # Workers hold these pipes too, so the pipes close only when the workers have ended.
    assert process.communicate(timeout=PATIENCE)[0] == ""
    assert process.returncode == -signal.SIGKILL
    before = recorded(tmp_path)
    assert [evaluation.candidate.id for _, evaluation in before] == printed
    assert before == reference[:7]
    assert resume(tmp_path) == reference


def test_ctrl_c_closes_the_archive_and_names_the_way_to_resume(tmp_path: Path, reference: list[Any]) -> None:
    process = start(searcher.run, tmp_path, 2, 2)
    printed = read_lines(process, 2)
    # Like a terminal, to the workers too, one of which may still be importing.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert (
        errors == "interrupted after 2 evaluations, which are kept; run the same search again to resume it\n"
    )
    # The database was closed, so no other file is left beside it.
    assert not (tmp_path / "archive.sqlite-wal").exists()
    assert [evaluation.candidate.id for _, evaluation in recorded(tmp_path)] == printed
    assert resume(tmp_path) == reference
