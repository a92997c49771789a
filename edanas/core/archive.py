"""The archive of evaluated candidates: one append-only SQLite file that survives a killed process.

The database is in WAL mode and synchronises on every commit. An evaluation is therefore durable when
`append` returns, even if the process or the machine stops. JSON keeps integers and floats exactly (Python
writes the shortest text that reads back as the same float), so a replayed evaluation equals the appended one.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edanas.core.errors import RunError
from edanas.core.types import Backbone, Candidate, Evaluation, ExitProfile, Metrics, SelectionScheme

FILE = "archive.sqlite"
"""The file name of the archive in a run's folder."""

SCHEMA = 1
"""Version of the tables. It increases when a table changes so that older files cannot be read."""

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
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
    violation REAL NOT NULL DEFAULT 0
);
CREATE TABLE profiles (
    candidate TEXT PRIMARY KEY,
    points TEXT NOT NULL,
    samples INTEGER NOT NULL,
    confidence BLOB NOT NULL,
    correct BLOB NOT NULL
);
"""

_ADVICE = {
    sqlite3.SQLITE_FULL: "free some space and run again: nothing recorded so far is lost",
    sqlite3.SQLITE_IOERR: "check the disk (is it full?) and run again: nothing recorded so far is lost",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable, or choose another folder",
    sqlite3.SQLITE_PERM: "make the file and its folder writable, or choose another folder",
    sqlite3.SQLITE_CANTOPEN: "make the folder writable, or choose another folder",
    sqlite3.SQLITE_NOTADB: "this is not an archive; move it away, or choose another folder",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore a copy, or start again in another folder",
    sqlite3.SQLITE_BUSY: "another program holds the file; close it and run again",
    sqlite3.SQLITE_LOCKED: "another program holds the file; close it and run again",
}


class Archive:
    """The evaluated candidates of one run, their exit profiles, and notes on the run.

    A note is a JSON value with a key. Several processes may read the archive while one process appends to
    it. The archive is a context manager, which closes the file.

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
        with self._reported():
            # Autocommit: each statement is one transaction, except between BEGIN and COMMIT.
            if read_only:
                self._connection = sqlite3.connect(self._address(), isolation_level=None, uri=True)
            else:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = sqlite3.connect(self.path, isolation_level=None)
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

        If there is no write-ahead log, no process writes to the file, and the URI marks it as immutable.
        Without the mark, SQLite would leave further files in the folder, or fail in a read-only folder.
        """
        unchanging = not Path(f"{self.path}-wal").exists()
        return f"{self.path.absolute().as_uri()}?mode=ro{'&immutable=1' if unchanging else ''}"

    def _open(self) -> None:
        if self._tables():
            self._check()
        with self._reported():
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("BEGIN IMMEDIATE")
            if not self._tables():
                for statement in _TABLES.split(";"):
                    self._connection.execute(statement)
                self.set_meta("schema", SCHEMA)
            self._connection.execute("COMMIT")

    def _tables(self) -> set[str]:
        return {row[0] for row in self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def _check(self) -> None:
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
        return {key: json.loads(value) for key, value in self._rows("SELECT key, value FROM meta")}

    def set_meta(self, key: str, value: Any) -> None:
        """Store a note, which may be any JSON value; it replaces an earlier note with the same key."""
        self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, json.dumps(value, allow_nan=False))

    def append(self, evaluation: Evaluation, genome: npt.NDArray[np.int64]) -> None:
        """Add an evaluation; it is on disk when this method returns.

        Args:
            evaluation: The evaluation of a candidate that the archive does not hold; its numbers are finite.
            genome: The candidate's canonical genome (D,), one gene for each of the D variables.
        """
        candidate = evaluation.candidate
        metrics = evaluation.metrics
        self._write(
            "INSERT INTO evaluations (iteration, id, genome, candidate, status, error, metrics, seconds, "
            "violation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            evaluation.iteration,
            candidate.id,
            json.dumps(genome.tolist()),
            json.dumps({"backbone": candidate.backbone.choices, "thresholds": candidate.scheme.thresholds}),
            "ok" if evaluation.ok else "failed",
            evaluation.error,
            None if metrics is None else json.dumps(metrics.to_dict(), allow_nan=False),
            evaluation.seconds,
            evaluation.violation,
        )

    def replay(self) -> Iterator[tuple[npt.NDArray[np.int64], Evaluation]]:
        """Yield every genome (D,) with its evaluation, in the order of `append`."""
        for genome, candidate, iteration, metrics, error, seconds, violation in self._rows(
            "SELECT genome, candidate, iteration, metrics, error, seconds, violation "
            "FROM evaluations ORDER BY seq"
        ):
            yield (
                np.array(json.loads(genome), dtype=np.int64),
                Evaluation(
                    _candidate(json.loads(candidate)),
                    iteration,
                    None if metrics is None else Metrics.from_dict(json.loads(metrics)),
                    error,
                    seconds,
                    violation,
                ),
            )

    def count(self) -> int:
        """Return the number of evaluations, failed evaluations included."""
        return int(self._rows("SELECT count(*) FROM evaluations")[0][0])

    def put_profile(self, candidate: str, profile: ExitProfile) -> None:
        """Store the exit profile of the candidate with the id `candidate`, in place of an earlier profile."""
        self._write(
            "INSERT OR REPLACE INTO profiles VALUES (?, ?, ?, ?, ?)",
            candidate,
            json.dumps(profile.points),
            len(profile),
            zlib.compress(profile.confidence.astype("<f4").tobytes()),
            zlib.compress(np.packbits(profile.correct).tobytes()),
        )

    def get_profile(self, candidate: str) -> ExitProfile | None:
        """Return the exit profile of the candidate with the id `candidate`, or `None` if it has none."""
        rows = self._rows(
            "SELECT points, samples, confidence, correct FROM profiles WHERE candidate = ?", candidate
        )
        if not rows:
            return None
        points = tuple(json.loads(rows[0][0]))
        shape = (int(rows[0][1]), len(points) + 1)
        confidence = np.frombuffer(zlib.decompress(rows[0][2]), dtype="<f4").astype(np.float32)
        bits = np.frombuffer(zlib.decompress(rows[0][3]), dtype=np.uint8)
        correct = np.unpackbits(bits, count=shape[0] * shape[1]).astype(np.bool_)
        return ExitProfile(points, confidence.reshape(shape), correct.reshape(shape))

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
