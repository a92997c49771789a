"""The rows of an unfinished table, in an append-only file that survives the end of the process."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edanas.core.errors import RunError
from edanas.core.runfolder import writing

_FRAME = 8
"""Number of bytes before each record: its length and its CRC-32 checksum, both little-endian."""


class Journal:
    """A file of records by key; a record is the bytes of a row, or the text of an error.

    An incomplete last record is dropped when the file is opened.

    Args:
        path: Path of the file, which is created if it is missing.
        binding: The values on which the rows depend, e.g. settings, in JSON's types.

    Raises:
        RunError: The file cannot be written, or its records were made with a different `binding`.
    """

    def __init__(self, path: Path, binding: Mapping[str, Any]) -> None:
        self.path = path
        self._span_of: dict[str, tuple[int, int]] = {}
        self.failed: dict[str, str] = {}
        with writing(path):
            self._file = path.open("r+b" if path.exists() else "w+b")
        try:
            self._replay(json.loads(json.dumps(binding)))
        except BaseException:
            self.close()
            raise

    def __contains__(self, key: str) -> bool:
        return key in self._span_of or key in self.failed

    def put(self, key: str, row: bytes | str) -> None:
        """Append a record; when the call returns, the record outlives the process.

        Args:
            key: The key of the record.
            row: The bytes of a row, or the text of an error.
        """
        if isinstance(row, str):
            self._append({"key": key, "error": row}, b"")
            self.failed[key] = row
        else:
            end = self._append({"key": key}, row)
            self._span_of[key] = end - len(row), len(row)

    def get(self, key: str) -> bytes:
        """Return the bytes of the row with this key.

        Raises:
            KeyError: The journal holds no row for the key.
        """
        start, length = self._span_of[key]
        self._file.seek(start)
        return self._file.read(length)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def _append(self, head: Mapping[str, Any], body: bytes) -> int:
        """Append a record (frame, a line of JSON, bytes), and return the position of its end in the file."""
        payload = json.dumps(head).encode() + b"\n" + body
        frame = len(payload).to_bytes(4, "little") + zlib.crc32(payload).to_bytes(4, "little")
        with writing(self.path):
            self._file.seek(0, 2)
            self._file.write(frame + payload)
            self._file.flush()
            return self._file.tell()

    def _replay(self, binding: Any) -> None:
        end = 0
        while len(frame := self._file.read(_FRAME)) == _FRAME:
            payload = self._file.read(int.from_bytes(frame[:4], "little"))
            if len(payload) < int.from_bytes(frame[:4], "little"):
                break
            if zlib.crc32(payload) != int.from_bytes(frame[4:], "little"):
                break
            head, _, body = payload.partition(b"\n")
            record = json.loads(head)
            end = self._file.tell()
            if "binding" in record:
                self._check_binding(record["binding"], binding)
            elif "error" in record:
                self.failed[record["key"]] = record["error"]
            else:
                self._span_of[record["key"]] = end - len(body), len(body)
        with writing(self.path):
            self._file.truncate(end)
        if not end:
            self._append({"binding": binding}, b"")

    def _check_binding(self, stored: Mapping[str, Any], binding: Mapping[str, Any]) -> None:
        differing = sorted(k for k in {*stored, *binding} if stored.get(k) != binding.get(k))
        if differing:
            raise RunError(
                f"{self.path}: holds rows made with another {' and '.join(differing)}; use the same values "
                "as before to continue, another --out to start again, or --overwrite to discard the rows"
            )
