"""Archives on file systems of several machines: the kind of file system, the journal, and readers."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edanas.core import archive as archive_module
from edanas.core import file_systems
from edanas.core.archive import FILE, Archive
from edanas.core.errors import RunError
from edanas.core.file_systems import file_system, is_shared

MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /home rw - nfs4 server:/export/home rw
31 30 0:26 / /home/me/my\040disk rw - ext4 /dev/sdb1 rw
32 22 0:27 / /mnt/share rw - cifs //server/share rw
33 22 0:28 / /mnt/share rw master:2 propagate_from:1 - fuse.sshfs me@host: rw
34 22 0:29 / /scratch rw - lustre mds:/scratch rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/tmp", "ext4"),
        ("/home", "nfs4"),
        ("/home/me/runs", "nfs4"),
        ("/home/me/my disk/runs", "ext4"),
        ("/homeless", "ext4"),
        ("/mnt/share/a", "fuse.sshfs"),
        ("/scratch/run", "lustre"),
    ],
)
def test_the_innermost_and_latest_mount_decides(
    path: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "mountinfo")
    assert file_system(Path(path)) == kind
    assert is_shared(kind) == (kind != "ext4")


def test_without_a_list_of_mounts_the_kind_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "missing")
    assert file_system(tmp_path) == ""
    assert not is_shared("")


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "file_system", lambda _: "nfs4")


def journal(folder: Path) -> str:
    with closing(sqlite3.connect(folder / FILE)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


@pytest.mark.usefixtures("shared")
def test_on_a_shared_file_system_readers_and_the_writer_take_turns(tmp_path: Path) -> None:
    with Archive(tmp_path) as writer:
        writer.set_meta("a", 1)
        with Archive(tmp_path, read_only=True) as reader:
            assert reader.meta()["a"] == 1
            writer.set_meta("a", 2)
            # Nothing of the reader stays locked, and it reads what was written since it was opened.
            assert reader.meta()["a"] == 2
        assert {path.name for path in tmp_path.iterdir()} == {FILE}
    assert journal(tmp_path) == "delete"


def test_an_archive_that_moves_to_a_shared_file_system_and_back_changes_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Archive(tmp_path) as archive:
        archive.set_meta("a", 1)
    assert journal(tmp_path) == "wal"
    for kind, expected in (("lustre", "delete"), ("ext4", "wal")):
        monkeypatch.setattr(archive_module, "file_system", lambda _, kind=kind: kind)
        with Archive(tmp_path) as archive:
            assert archive.meta()["a"] == 1
        assert journal(tmp_path) == expected


@pytest.mark.usefixtures("shared")
def test_a_file_that_cannot_change_its_journal_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "_PATIENCE", 0.01)
    with monkeypatch.context() as patch:
        patch.setattr(archive_module, "file_system", lambda _: "ext4")
        holder = Archive(tmp_path)
    with pytest.raises(RunError, match=r"kind nfs4.*choose an --out on a local disk"):
        Archive(tmp_path)
    holder.close()
    Archive(tmp_path).close()
