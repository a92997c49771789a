"""The archive: rows that are read equal rows that were written, and one clear error in other cases."""

import os
import sqlite3
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.archive import Archive
from edanas.core.errors import RunError
from edanas.core.packed_profile import PackedProfile
from edanas.core.types import Backbone, Candidate, Evaluation, ExitProfile, Metrics, SelectionScheme

finite = st.floats(allow_nan=False, allow_infinity=False)
fraction = st.floats(0, 1)
choice = st.one_of(st.integers(-(2**60), 2**60), finite)


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluation:
    names = draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4, unique=True))
    scheme = SelectionScheme(tuple(draw(st.lists(st.none() | fraction, min_size=1, max_size=3))))
    candidate = Candidate(Backbone.of({name: draw(choice) for name in names}), scheme)
    iteration = draw(st.integers(0, 100))
    if draw(st.booleans()):
        return Evaluation(candidate, iteration, None, draw(st.text(max_size=40)), draw(finite))
    exits = len(scheme.thresholds) + 1
    metrics = Metrics(
        accuracy=draw(fraction),
        utilization=tuple(draw(st.lists(fraction, min_size=exits, max_size=exits))),
        exit_accuracy=tuple(draw(st.lists(st.none() | fraction, min_size=exits, max_size=exits))),
        ada_macs=draw(finite),
        executed_macs=draw(finite),
        backbone_accuracy=draw(fraction),
        backbone_macs=draw(st.integers(0, 2**70)),
        params=draw(st.integers(0, 2**40)),
        activations=draw(st.integers(0, 2**40)),
    )
    return Evaluation(candidate, iteration, metrics, None, draw(finite))


def one(index: int = 0) -> tuple[Evaluation, np.ndarray]:
    candidate = Candidate(Backbone.of({"width": 0.5, "depth": index}), SelectionScheme((0.1, None)))
    return Evaluation(candidate, 0, None, "ValueError: no"), np.array([index, 0, 1], dtype=np.int64)


@settings(max_examples=20)
@given(st.lists(evaluations(), max_size=4, unique_by=lambda e: e.candidate.id))
def test_evaluations_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, appended: list[Evaluation]
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    genomes = [np.arange(i, i + 3, dtype=np.int64) for i in range(len(appended))]
    with Archive(folder) as archive:
        for evaluation, genome in zip(appended, genomes, strict=True):
            archive.append(evaluation, genome)
    with Archive(folder) as archive:
        assert archive.count() == len(appended)
        replayed = list(archive.replay())
    assert [evaluation for _, evaluation in replayed] == appended
    assert [evaluation.seconds for _, evaluation in replayed] == [e.seconds for e in appended]
    for (genome, evaluation), expected, original in zip(replayed, genomes, appended, strict=True):
        assert genome.dtype == np.int64
        np.testing.assert_array_equal(genome, expected)
        # Equality holds between 1 and 1.0, an identifier tells them apart.
        assert evaluation.candidate.id == original.candidate.id


def test_metadata_is_stored_and_replaced(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        archive.set_meta("settings", {"seed": 1, "thresholds": [0.1, None]})
        archive.set_meta("finished", 1)
        archive.set_meta("finished", 2)
    with Archive(tmp_path) as archive:
        assert archive.meta() == {
            "schema": 1,
            "settings": {"seed": 1, "thresholds": [0.1, None]},
            "finished": 2,
        }


def test_profiles_come_back_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random((37, 3), dtype=np.float32)
    confidence[0] = (0.0, 1.0, np.float32(1e-40))
    profile = ExitProfile((0, 2), confidence, rng.random((37, 3)) < 0.5)
    with Archive(tmp_path) as archive:
        assert archive.get_profile("abc") is None
        earlier = ExitProfile((), confidence[:, :1], profile.correct[:, :1])
        archive.put_profile("abc", PackedProfile.of(earlier))
        archive.put_profile("abc", PackedProfile.of(profile))
    with Archive(tmp_path) as archive:
        stored = archive.get_profile("abc")
    assert stored is not None
    assert stored.points == (0, 2)
    assert (stored.confidence.dtype, stored.correct.dtype) == (np.float32, np.bool_)
    np.testing.assert_array_equal(stored.confidence, profile.confidence)
    np.testing.assert_array_equal(stored.correct, profile.correct)


def test_an_empty_profile_comes_back(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        empty = np.zeros((0, 2))
        none = ExitProfile((1,), empty.astype(np.float32), empty.astype(np.bool_))
        archive.put_profile("none", PackedProfile.of(none))
        stored = archive.get_profile("none")
    assert stored is not None
    assert stored.points == (1,)
    assert stored.confidence.shape == stored.correct.shape == (0, 2)


def test_every_commit_is_synchronised_and_a_reader_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The value of the package, which `tests/conftest.py` checks and changes for all other tests.
    monkeypatch.setattr("edanas.core.archive._SYNCHRONOUS", "FULL")
    with Archive(tmp_path) as archive, Archive(tmp_path) as reader:
        assert archive._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert archive._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        archive.append(*one())
        assert reader.count() == 1


def test_a_candidate_is_recorded_once(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        archive.append(*one())
        with pytest.raises(RunError, match=r"UNIQUE.*evaluations\.id"):
            archive.append(*one())
        assert archive.count() == 1


def test_nan_is_not_recorded(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        with pytest.raises(ValueError, match="not JSON compliant"):
            archive.set_meta("volume", float("nan"))
        assert "volume" not in archive.meta()


def test_a_full_disk_is_reported_and_loses_nothing(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        # SQLite gives this limit the error of a full disk.
        archive._connection.execute("PRAGMA max_page_count = 12")
        with pytest.raises(RunError, match="disk is full; free some space") as caught:
            for index in range(10_000):
                archive.append(*one(index))
        assert str(tmp_path / "archive.sqlite") in str(caught.value)
        count = archive.count()
    assert count > 0
    with Archive(tmp_path) as archive:
        assert [evaluation for _, evaluation in archive.replay()] == [one(i)[0] for i in range(count)]
        archive.append(*one(count))


def test_a_file_that_is_not_a_database_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "archive.sqlite"
    path.write_bytes(b"shopping list: milk, bread, and a very long note beside it " * 20)
    before = path.read_bytes()
    with pytest.raises(RunError, match=r"archive\.sqlite.*not a database; this is not an archive"):
        Archive(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("table", ["CREATE TABLE songs (title)", "CREATE TABLE meta (key, value)"])
def test_a_foreign_database_is_refused_and_unchanged(tmp_path: Path, table: str) -> None:
    path = tmp_path / "archive.sqlite"
    connection = sqlite3.connect(path)
    connection.execute(table)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(RunError, match="a database, but no archive"):
        Archive(tmp_path)
    assert path.read_bytes() == before


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        archive.set_meta("schema", 99)
    with pytest.raises(RunError, match=r"another version of edanas \(schema 99; this version reads 1\)"):
        Archive(tmp_path)


def test_an_empty_file_becomes_an_archive(tmp_path: Path) -> None:
    (tmp_path / "archive.sqlite").touch()
    with Archive(tmp_path) as archive:
        archive.append(*one())
        assert archive.count() == 1


def test_a_path_that_cannot_be_a_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="choose a folder that can be written to"):
        Archive(tmp_path / "file" / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_archive_is_reported(tmp_path: Path) -> None:
    Archive(tmp_path).close()
    (tmp_path / "archive.sqlite").chmod(stat.S_IRUSR)
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(RunError, match="writable, or choose another"):
            Archive(tmp_path)
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_a_read_only_connection_is_reported(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        archive._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(RunError, match="readonly database; make the file and its folder writable"):
            archive.append(*one())


def test_a_read_only_archive_sees_rows_appended_meanwhile(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="unable to open database file"):
        Archive(tmp_path / "nowhere", read_only=True)
    assert not (tmp_path / "nowhere").exists()
    with Archive(tmp_path) as archive, Archive(tmp_path, read_only=True) as reader:
        for number in range(3):
            archive.append(*one(number))
            assert reader.count() == number + 1
        assert [e for _, e in reader.replay()] == [e for _, e in archive.replay()]
        with pytest.raises(RunError, match="readonly"):
            reader.set_meta("key", 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "archive.sqlite").write_text("no archive")
    with pytest.raises(RunError, match="this is not an archive"):
        Archive(tmp_path / "other", read_only=True)


def test_reading_leaves_no_files(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        archive.append(*one())
    before = sorted(path.name for path in tmp_path.iterdir())
    with Archive(tmp_path, read_only=True) as reader:
        assert reader.count() == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before
