"""The lock of a run folder: one process at a time, and an error that names the holder."""

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edanas.core.errors import RunError
from edanas.core.runfolder import RunLock, holder_runs, replace_file


def test_the_folder_is_created_and_unlocked_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "first"
    for _ in range(2):
        with RunLock(folder):
            assert (folder / "run.lock").exists()


def test_the_error_of_a_second_process_names_the_holder(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        holder = json.loads((tmp_path / "run.lock.json").read_text())
        assert (holder["pid"], holder["host"]) == (os.getpid(), socket.gethostname())
        with pytest.raises(RunError) as caught, RunLock(tmp_path):
            pass
        for part in (tmp_path, os.getpid(), socket.gethostname(), holder["since"]):
            assert str(part) in str(caught.value)


@pytest.mark.parametrize("signature", ["", "[1, 2]", '{"pid": 1}', "not json"])
def test_a_holder_without_a_valid_signature_is_called_another_process(tmp_path: Path, signature: str) -> None:
    with RunLock(tmp_path):
        (tmp_path / "run.lock.json").write_text(signature)
        with pytest.raises(RunError, match="used by another process"), RunLock(tmp_path):
            pass


def test_files_of_a_dead_holder_lock_nothing(tmp_path: Path) -> None:
    (tmp_path / "run.lock").touch()
    (tmp_path / "run.lock.json").write_text('{"pid": 1, "host": "elsewhere", "since": "long ago"}')
    with RunLock(tmp_path):
        assert json.loads((tmp_path / "run.lock.json").read_text())["pid"] == os.getpid()


def test_a_path_that_cannot_be_a_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="choose a folder that can be written to"), RunLock(tmp_path / "file"):
        pass


def test_a_lock_that_cannot_be_signed_is_released(tmp_path: Path) -> None:
    (tmp_path / "run.lock.new").mkdir()
    (tmp_path / "run.lock.json").mkdir()
    with pytest.raises(RunError, match="choose a folder that can be written to"), RunLock(tmp_path):
        pass
    (tmp_path / "run.lock.new").rmdir()
    (tmp_path / "run.lock.json").rmdir()
    with RunLock(tmp_path):
        pass


def test_the_check_for_a_holder_leaves_the_lock_unchanged(tmp_path: Path) -> None:
    assert holder_runs(tmp_path) is None
    with RunLock(tmp_path):
        assert holder_runs(tmp_path) is True
        with pytest.raises(RunError, match="is used by process"), RunLock(tmp_path):
            pass
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for holder, expected in (
        ({"pid": gone.pid, "host": socket.gethostname()}, False),
        ({"pid": gone.pid, "host": "elsewhere"}, None),
        ({"pid": "no", "host": socket.gethostname()}, None),
    ):
        (tmp_path / "run.lock.json").write_text(json.dumps(holder))
        assert holder_runs(tmp_path) is expected


def test_a_file_is_replaced_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.json"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("edanas.core.runfolder.os.fsync", full)
    with pytest.raises(RunError, match=r"some\.json: cannot be written: No space left"):
        replace_file(path, b"newer")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(RunError, match="none/a: cannot be written"):
        replace_file(tmp_path / "none" / "a", b"")
