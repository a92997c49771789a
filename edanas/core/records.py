"""Checksums of records: of JSON objects in files, of lines in logs, and of rows in databases."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

CHECKSUM = "checksum"
"""Key of a record's checksum."""

CHECKSUMS = "checksums"
"""Key of the checksums of an object's entries."""

MISMATCH = "does not match its checksum"
"""Description of a damaged record in messages."""


def parse(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: The text is not JSON, or its lists and objects are nested too deeply.

    Example:
        >>> parse(b'{"seed": 1}')
        {'seed': 1}
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("lists and objects are nested too deeply") from error


def checksum(value: Any) -> str:
    """Return the checksum of a value of JSON's types: 16 hexadecimal digits of BLAKE2b.

    It depends on the value, not on the layout of its text. Bytes count by their content.

    Example:
        >>> checksum({"a": 1, "b": [0.5]}) == checksum({"b": [0.5], "a": 1})
        True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_as_hex)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with its checksum as the last entry.

    Example:
        >>> unsealed(sealed({"accuracy": 0.9}))
        {'accuracy': 0.9}
    """
    plain = json.loads(json.dumps({key: value for key, value in record.items() if key != CHECKSUM}))
    return {**plain, CHECKSUM: checksum(plain)}


def unsealed(record: Any) -> dict[str, Any]:
    """Return a JSON object without its checksum, after a comparison with the checksum.

    An object without a checksum, e.g. of an older version, is returned as it is.

    Raises:
        ValueError: The value is not an object, or does not match its checksum.
    """
    if not isinstance(record, dict):
        raise ValueError("is not a JSON object")
    plain = {key: value for key, value in record.items() if key != CHECKSUM}
    if CHECKSUM in record and record[CHECKSUM] != checksum(plain):
        raise ValueError(MISMATCH)
    return plain


def sealed_text(record: Mapping[str, Any]) -> bytes:
    """Return the content of a JSON file that holds one object, with its checksum.

    Example:
        >>> sealed_text({"seed": 1}).splitlines()[1]
        b' "seed": 1,'
    """
    return (json.dumps(sealed(record), indent=1) + "\n").encode()


def with_checksums(data: Mapping[str, Any], rows: Sequence[str]) -> dict[str, Any]:
    """Return a JSON object with the checksum of each entry under the key `checksums`.

    Args:
        data: The object, in JSON's types.
        rows: Keys of lists whose items get a checksum each, so that a message can name the damaged item.
    """
    plain = {key: value for key, value in data.items() if key != CHECKSUMS}
    checksums = {
        key: [checksum(row) for row in value] if key in rows else checksum(value)
        for key, value in plain.items()
    }
    return {**plain, CHECKSUMS: checksums}


def without_checksums(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object that `with_checksums` received, after a comparison with all checksums.

    An object without checksums, e.g. of an older version, is returned as it is.

    Raises:
        ValueError: An entry differs; the message names it, e.g. `front[2] does not match its checksum`.
    """
    plain = {key: value for key, value in data.items() if key != CHECKSUMS}
    stored = data.get(CHECKSUMS)
    if stored is None:
        return plain
    if not isinstance(stored, dict):
        raise ValueError(f"'{CHECKSUMS}' is not a JSON object")
    for key in {**stored, **plain}:
        value, seal = plain.get(key), stored.get(key)
        if isinstance(seal, list) and isinstance(value, list) and len(seal) == len(value):
            for number, (row, own) in enumerate(zip(value, seal, strict=True)):
                if checksum(row) != own:
                    raise ValueError(f"{key}[{number}] {MISMATCH}")
        elif key not in plain or checksum(value) != seal:
            raise ValueError(f"'{key}' {MISMATCH}")
    return plain


def _as_hex(value: Any) -> str:
    """Return a digest of bytes, which JSON cannot hold.

    Raises:
        TypeError: The value is not bytes.
    """
    if isinstance(value, bytes):
        return hashlib.blake2b(value, digest_size=16).hexdigest()
    raise TypeError(f"{type(value).__name__} has no checksum")
