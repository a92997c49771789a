"""The lock of a run folder: one process at a time, and an error that names the holder."""

import errno
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edanas.core.errors import RunError
from edanas.core.runfolder import RunLock, holder_runs, partial_files, replace_file, replacing


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
    (tmp_path / "run.lock.json").mkdir()
    with pytest.raises(RunError, match="choose a folder that can be written to"), RunLock(tmp_path):
        pass
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


def test_temporary_files_are_new_and_follow_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    monkeypatch.setattr("edanas.core.runfolder.secrets.token_hex", lambda size: "ab" * size)
    victim, path = tmp_path / "victim", tmp_path / "config.toml"
    victim.write_bytes(b"precious")
    planted = tmp_path / f".config.toml.{'ab' * 8}.partial"
    planted.symlink_to(victim)
    with pytest.raises(RunError, match=r"config\.toml: cannot be written: File exists"):
        replace_file(path, b"new")
    assert victim.read_bytes() == b"precious"
    assert not path.exists()
    monkeypatch.undo()
    for _ in range(3):
        with replacing(path) as partial:
            names.append(partial.name)
            assert partial.stat().st_mode & 0o777 == 0o666 & ~_umask()
            partial.write_bytes(b"new")
    assert len(set(names)) == 3


def test_a_planted_link_is_no_lock(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "run.lock").symlink_to(victim)
    with pytest.raises(RunError, match=r"run\.lock: is a link"), RunLock(tmp_path):
        pass
    assert victim.read_bytes() == b"precious"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_folder_is_synchronised_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    synchronise, rename = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        synchronise(handle)

    def replace(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    replace_file(tmp_path / "a.json", b"{}")
    assert steps == ["file", "rename", "folder"]


def test_a_long_name_is_written_and_left_files_are_listed(tmp_path: Path) -> None:
    for name in ("n" * 250, "ü" * 120, "a.json"):
        replace_file(tmp_path / name, b"x")
        assert (tmp_path / name).read_bytes() == b"x"
    left = tmp_path / f".a.json.{'0' * 16}.partial"
    for path in (left, tmp_path / ".a.json.notes.partial", tmp_path / "a.json.partial"):
        path.touch()
    assert partial_files(tmp_path) == partial_files(tmp_path, "a.json") == [left]
    assert partial_files(tmp_path, "b.json") == partial_files(tmp_path / "none") == []
