"""The archive of evaluated candidates: one append-only SQLite file that survives a killed process.

The database is in WAL mode and synchronises on every commit. An evaluation is therefore durable when
`append` returns, even if the process or the machine stops. JSON keeps integers and floats exactly (Python
writes the shortest text that reads back as the same float), so a replayed evaluation equals the appended one.

Every row has a checksum, which is compared whenever the row is read; rows of an older version have none.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edanas.core.errors import RunError
from edanas.core.file_systems import file_system, is_shared
from edanas.core.packed_profile import PackedProfile
from edanas.core.records import MISMATCH, checksum, parse
from edanas.core.types import Backbone, Candidate, Evaluation, ExitProfile, Metrics, SelectionScheme

FILE = "archive.sqlite"
"""The file name of the archive in a run's folder."""

SCHEMA = 1
"""Version of the tables. It increases when a table changes so that older files cannot be read."""

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum TEXT);
CREATE TABLE evaluations (
    seq INTEGER PRIMARY KEY,
    iteration INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    genome TEXT NOT NULL,
    candidate TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('ok', 'failed')),
    error TEXT,
    metrics TEXT,
    seconds REAL NOT NULL,
    violation REAL NOT NULL DEFAULT 0,
    checksum TEXT
);
CREATE TABLE profiles (
    candidate TEXT PRIMARY KEY,
    points TEXT NOT NULL,
    samples INTEGER NOT NULL,
    confidence BLOB NOT NULL,
    correct BLOB NOT NULL,
    checksum TEXT
);
"""

_EVALUATION = "iteration, id, genome, candidate, status, error, metrics, seconds, violation"
"""Columns of an evaluation, without its number and its checksum."""

_HEADER = 20
"""Number of bytes of a SQLite file up to its journal: 1 is a rollback journal, 2 a write-ahead log."""

_SYNCHRONOUS = "FULL"
"""SQLite waits at each commit until the disk has the data."""

_PATIENCE = 60.0
"""Seconds for which the writer waits for readers of a file with a rollback journal."""

_DAMAGE = "the file is damaged; restore a copy, or start again in another folder"

_ADVICE = {
    sqlite3.SQLITE_FULL: "free some space and run again: nothing recorded so far is lost",
    sqlite3.SQLITE_IOERR: "check the disk (is it full?) and run again: nothing recorded so far is lost",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable, or choose another folder",
    sqlite3.SQLITE_PERM: "make the file and its folder writable, or choose another folder",
    sqlite3.SQLITE_CANTOPEN: "make the folder writable, or choose another folder",
    sqlite3.SQLITE_NOTADB: "this is not an archive; move it away, or choose another folder",
    sqlite3.SQLITE_CORRUPT: _DAMAGE,
    sqlite3.SQLITE_BUSY: "another program holds the file; close it and run again",
    sqlite3.SQLITE_PROTOCOL: "the file system does not lock files; choose a folder on a local disk",
    sqlite3.SQLITE_LOCKED: "another program holds the file; close it and run again",
}


class Archive:
    """The evaluated candidates of one run, their exit profiles, and notes on the run.

    A note is a JSON value with a key. Several processes may read the archive while one process appends to
    it. The file has a write-ahead log, or a rollback journal on a file system of several machines. The
    archive is a context manager, which closes the file.

    Args:
        folder: The run's folder, created if it is missing. The archive is its file `archive.sqlite`.
        read_only: True to open an existing file without changing it; default False. To see the newest
            evaluations of a running search, open the archive again.

    Raises:
        RunError: The file cannot be opened, is not an archive, or was written by another version of edanas.
            Every method raises `RunError` if the disk is full, or if the file is damaged or not writable.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Archive(folder) as archive:
        ...     archive.set_meta("seed", 7)
        ...     archive.meta()["seed"], archive.count()
        (7, 0)
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.path = Path(folder) / FILE
        self._strict, self._sealed = False, frozenset[str]()
        with self._reported():
            # Autocommit: each statement is one transaction, except between BEGIN and COMMIT.
            if read_only:
                self._connection = sqlite3.connect(self._address(), isolation_level=None, uri=True)
            else:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = sqlite3.connect(self.path, isolation_level=None, timeout=_PATIENCE)
        # Damaged text is read too, so that the message can name its row.
        self._connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        try:
            if read_only:
                self._check()
            else:
                self._open()
        except BaseException:
            self.close()
            raise

    def _address(self) -> str:
        """Return the URI with which SQLite opens the file for reading.

        The header of the file states the kind of journal. If that is a write-ahead log, but the log does not
        exist, no process writes to the file. The URI then marks the file as immutable. Without the mark,
        SQLite would leave further files in the folder, or fail in a read-only folder. A file with a rollback
        journal is locked while a row is read, and the writer waits.
        """
        header = b""
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            header = file.read(_HEADER)
        unchanging = header[-1:] == b"\2" and not Path(f"{self.path}-wal").exists()
        return f"{self.path.absolute().as_uri()}?mode=ro{'&immutable=1' if unchanging else ''}"

    def _open(self) -> None:
        if self._tables():
            self._check()
        with self._reported():
            self._choose_journal()
            self._connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS}")
            self._connection.execute("BEGIN IMMEDIATE")
            if not self._tables():
                for statement in _TABLES.split(";"):
                    self._connection.execute(statement)
                self.set_meta("schema", SCHEMA)
            for table in {"meta", "evaluations", "profiles"} - self._sealed_tables():
                self._connection.execute(f"ALTER TABLE {table} ADD COLUMN checksum TEXT")
            self._connection.execute("COMMIT")
        self._sealed = self._sealed_tables()
        self.meta()

    def _choose_journal(self) -> None:
        """Use a write-ahead log, or a rollback journal on file systems that several machines may use.

        A write-ahead log needs memory that all processes share, so it is unsafe between machines.

        Raises:
            RunError: The file system permits no rollback journal.
        """
        kind = file_system(self.path)
        journal = "delete" if is_shared(kind) else "wal"
        advice = "choose an --out on a local disk, and copy the folder when the run is finished"
        try:
            present = self._rows(f"PRAGMA journal_mode = {journal}")[0][0]
        except RunError as error:
            if journal == "wal":
                raise
            raise RunError(f"{error}. The file system is of kind {kind}; otherwise, {advice}") from error
        if journal == "delete" and present != journal:
            raise RunError(
                f"{self.path}: found journal mode '{present}' on a file system of kind {kind}; allowed: "
                f"'delete'. Close the programs that read the folder, or {advice}"
            )

    def _sealed_tables(self) -> frozenset[str]:
        """Return the tables with a column of checksums, which an archive of an older version lacks."""
        query = (
            "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE c.name = 'checksum'"
        )
        return frozenset(row[0] for row in self._rows(query))

    def _tables(self) -> set[str]:
        return {row[0] for row in self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def _check(self) -> None:
        problem = self._rows("PRAGMA quick_check(1)")[0][0]
        if problem != "ok":
            raise RunError(f"{self.path}: {' '.join(str(problem).split())}; {_DAMAGE}")
        self._sealed = self._sealed_tables()
        schema = self.meta().get("schema") if "meta" in self._tables() else None
        if schema is None:
            raise RunError(f"{self.path}: a database, but no archive; move it away, or choose another folder")
        if schema != SCHEMA:
            raise RunError(
                f"{self.path}: written by another version of edanas (schema {schema}; this version reads "
                f"{SCHEMA}); use that version, or choose another folder"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._connection.close()

    def meta(self) -> dict[str, Any]:
        """Return all notes on the run, by key."""
        rows = self._checked_rows("meta", "key, value", "rowid")
        # The version of the tables is the first note, so its checksum shows that every row must have one.
        self._strict = any(key == "schema" and seal is not None for key, _, seal in rows)
        notes = {}
        for key, value, seal in rows:
            with self._intact("meta", key, (key, value), seal):
                notes[key] = parse(value)
        return notes

    def set_meta(self, key: str, value: Any) -> None:
        """Store a note, which may be any JSON value; it replaces an earlier note with the same key."""
        self._put(
            "INSERT OR REPLACE INTO meta (key, value, checksum)", key, json.dumps(value, allow_nan=False)
        )

    def append(self, evaluation: Evaluation, genome: npt.NDArray[np.int64]) -> None:
        """Add an evaluation; it is on disk when this method returns.

        Args:
            evaluation: The evaluation of a candidate that the archive does not hold; its numbers are finite.
            genome: The candidate's canonical genome (D,), one gene for each of the D variables.
        """
        candidate = evaluation.candidate
        metrics = evaluation.metrics
        self._put(
            f"INSERT INTO evaluations ({_EVALUATION}, checksum)",
            int(evaluation.iteration),
            candidate.id,
            json.dumps(genome.tolist()),
            json.dumps({"backbone": candidate.backbone.choices, "thresholds": candidate.scheme.thresholds}),
            "ok" if evaluation.ok else "failed",
            evaluation.error,
            None if metrics is None else json.dumps(metrics.to_dict(), allow_nan=False),
            # SQLite stores -0.0 as 0.0.
            float(evaluation.seconds) + 0.0,
            float(evaluation.violation) + 0.0,
        )

    def replay(self) -> Iterator[tuple[npt.NDArray[np.int64], Evaluation]]:
        """Yield every genome (D,) with its evaluation, in the order of `append`."""
        rows = self._checked_rows("evaluations", f"seq, {_EVALUATION}", "seq")
        for number, (seq, *values, seal) in enumerate(rows, 1):
            iteration, name, genome, candidate, status, error, metrics, seconds, violation = values
            with self._intact("evaluations", f"{number} (candidate {name})", values, seal):
                evaluation = Evaluation(
                    _candidate(parse(candidate)),
                    int(iteration),
                    None if metrics is None else Metrics.from_dict(parse(metrics)),
                    error,
                    float(seconds),
                    float(violation),
                )
                if (seq, name, status == "ok") != (number, evaluation.candidate.id, evaluation.ok):
                    raise ValueError(f"has the number {seq} and the status {status}")
                genes = np.array(parse(genome), dtype=np.int64)
            yield genes, evaluation

    def count(self) -> int:
        """Return the number of evaluations, failed evaluations included."""
        return int(self._rows("SELECT count(*) FROM evaluations")[0][0])

    def put_profile(self, candidate: str, profile: PackedProfile) -> None:
        """Store the exit profile of the candidate with the id `candidate`, in place of an earlier profile."""
        self._put(
            "INSERT OR REPLACE INTO profiles (candidate, points, samples, confidence, correct, checksum)",
            candidate,
            json.dumps(profile.points),
            profile.samples,
            profile.confidence,
            profile.correct,
        )

    def get_profile(self, candidate: str) -> ExitProfile | None:
        """Return the exit profile of the candidate with the id `candidate`, or `None` if it has none."""
        rows = self._checked_rows(
            "profiles", "candidate, points, samples, confidence, correct", "rowid", candidate
        )
        for *values, seal in rows:
            _, stored_points, samples, stored_confidence, stored_correct = values
            with self._intact("profiles", candidate, values, seal):
                points = tuple(parse(stored_points))
                return PackedProfile(points, int(samples), stored_confidence, stored_correct).opened
        return None

    def _checked_rows(
        self, table: str, columns: str, order: str, candidate: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a table with their checksum as the last value; `None` for a row without one."""
        seal = "checksum" if table in self._sealed else "NULL"
        where = "" if candidate is None else " WHERE candidate = ?"
        values = () if candidate is None else (candidate,)
        query = f"SELECT {columns}, {seal} FROM {table}{where} ORDER BY {order}"  # noqa: S608 - constants
        return self._rows(query, *values)

    @contextmanager
    def _intact(self, table: str, row: str, values: Sequence[Any], seal: str | None) -> Iterator[None]:
        """Raise a `RunError` that names the row if its checksum differs, or if its values cannot be read.

        Args:
            table: Name of the table.
            row: Number or key of the row, for the message.
            values: Values of the row, without its checksum.
            seal: Stored checksum of the row; `None` = the row has none.
        """
        try:
            if (seal is not None or self._strict) and seal != checksum(list(values)):
                raise ValueError(MISMATCH)
            yield
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, zlib.error) as error:
            raise RunError(f"{self.path}: {table}, row {row}: {error}; {_DAMAGE}") from error

    def _put(self, statement: str, *values: Any) -> None:
        """Execute an `INSERT` statement with `values` and their checksum."""
        marks = ", ".join("?" * (len(values) + 1))
        self._write(f"{statement} VALUES ({marks})", *values, checksum(list(values)))

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._reported(), closing(self._connection.execute(query, values)) as cursor:
            return cursor.fetchall()

    def _write(self, statement: str, *values: Any) -> None:
        with self._reported():
            self._connection.execute(statement, values)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn errors of SQLite and the file system into a `RunError` with advice."""
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{self.path}: {error.strerror or error}; choose a folder that can be written to"
            ) from error
        except sqlite3.Error as error:
            # Extended codes, e.g. of a read-only directory, keep the primary code in their low byte.
            advice = _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "the archive cannot be used")
            raise RunError(f"{self.path}: {error}; {advice}") from error


def _candidate(stored: dict[str, Any]) -> Candidate:
    backbone = Backbone(tuple((name, value) for name, value in stored["backbone"]))
    return Candidate(backbone, SelectionScheme(tuple(stored["thresholds"])))
