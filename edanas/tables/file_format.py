"""A table's file: one safetensors file with one JSON description, written whole or not at all.

Laid out by hand, since a table may be larger than memory: the tensors are mapped, never gathered. Any reader
of safetensors files can open it. `docs/reference/tables.md` describes each tensor and each key.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import EdanasError, TableError
from edanas.core.runfolder import writing
from edanas.core.space import SearchSpace
from edanas.core.types import CONTINUOUS, Thresholds, Variable

VERSION = 1
"""Raised when an older reader would misread a newer file; further keys alone do not raise it."""

SEARCHED = "validation"
"""The part that a search judges candidates on."""

HELD_OUT = ("calibration", "test")
"""Parts that the fronts found may be judged on; a table holds one of them."""

SEGMENT_COSTS = ("macs", "params", "activations")
"""What is known of each segment: of the M stages, of the N heads, of the last exit, in this order."""

_KEY = "edanas.table"
_DTYPES: dict[str, np.dtype[Any]] = {
    "I64": np.dtype("<i8"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "U8": np.dtype("u1"),
}
_BLANK = "0" * 64
_LARGEST_HEADER = 1 << 27
_BLOCK = 1 << 22

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Description:
    """What a table says of itself, besides its tensors.

    Args:
        backbones: n, how many it holds.
        variables: The backbone's dimensions, as `SearchSpace` takes them.
        exit_points: N.
        thresholds: What an exit point may hold unless the reader says otherwise.
        criterion: Name and options of the confidence criterion.
        parts: Samples by part: those that a search judges on, then the held-out ones.
        exhaustive: Whether every backbone of the space is in the table.
        space_size: How many backbones the space has.
        classes: The classes' names.
        failed: Backbones that could not be profiled, each with its choices and the reason.
        provenance: Settings, seed, versions, digests of data and supernet: for people, not for reading.
    """

    backbones: int
    variables: tuple[Variable, ...]
    exit_points: int
    thresholds: Thresholds
    criterion: Mapping[str, Any]
    parts: Mapping[str, int]
    exhaustive: bool
    space_size: int
    classes: tuple[str, ...]
    failed: tuple[Mapping[str, Any], ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def space(self, thresholds: Thresholds | None = None) -> SearchSpace:
        """The candidates that a search on the table chooses among; other thresholds on request."""
        return SearchSpace(self.variables, thresholds or self.thresholds, self.exit_points)

    def backbone_space(self) -> SearchSpace:
        """The backbones alone: genomes without thresholds."""
        return SearchSpace(self.variables, (None,), 0)

    def row(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Data type and shape of what each tensor holds of one backbone."""
        exits = self.exit_points + 1
        tensors: dict[str, tuple[str, tuple[int, ...]]] = dict.fromkeys(SEGMENT_COSTS, ("I64", (2 * exits,)))
        tensors["genomes"] = ("I16", (len(self.variables),))
        for part, samples in self.parts.items():
            tensors[f"{part}.confidence"] = ("F16", (exits, samples))
        for part, samples in self.parts.items():
            tensors[f"{part}.correct"] = ("U8", (exits, -(-samples // 8)))
        return tensors

    def elements(self) -> dict[str, tuple[np.dtype[Any], int]]:
        """Data type and number of elements that each tensor but the genomes has of one backbone."""
        row = self.row()
        return {n: (_DTYPES[kind], math.prod(shape)) for n, (kind, shape) in row.items() if n != "genomes"}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        variables = [
            {**asdict(v), "when": sorted(v.when, key=lambda c: (c is None, c or 0))} for v in self.variables
        ]
        shallow = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**shallow, "variables": variables}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Description":
        """The inverse of `to_dict`; keys that this version does not know are left out.

        Raises:
            LookupError: A key is missing.
            TypeError: A value is of another type.
        """
        known = {each.name: values[each.name] for each in fields(cls)}
        variables = tuple(
            Variable(str(v["name"]), tuple(v["choices"]), v["parent"], frozenset(v["when"]))
            for v in values["variables"]
        )
        for name in ("thresholds", "classes", "failed"):
            known[name] = known[name] if known[name] == CONTINUOUS else tuple(known[name])
        return cls(**{**known, "variables": variables})


@contextmanager
def creating(path: Path, description: Description) -> Iterator[Arrays]:
    """Arrays to fill, one for each tensor; the file is at `path` when the block ends well.

    Raises:
        RunError: The file cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    header = _header(description, _BLANK)
    try:
        with writing(path):
            size = sum(_bytes(*tensor) for tensor in _tensors(description).values())
            with partial.open("wb") as file:
                file.write(header)
                # Allocated now: a full disk would otherwise end the process when a mapped page is written.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, len(header) + size)
                file.truncate(len(header) + size)
            yield _mapped(partial, description, len(header), "r+")
            with partial.open("r+b") as file:
                file.write(_header(description, _digest(partial, len(header), _BLANK)))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path, *, verify: bool = True) -> tuple[Description, Arrays, str]:
    """A table's description, its tensors mapped read-only, and the digest that names its content.

    Args:
        path: The file.
        verify: Whether to read all of it and compare the digest.

    Raises:
        TableError: There is no such file; it is no table; it is of another version; it is damaged.
    """
    try:
        entries, offset = _entries(path)
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror or error}") from error
    text = entries.pop("__metadata__", {}).get(_KEY)
    if text is None:
        raise TableError(
            f"{path}: a safetensors file, but no table: its metadata has no '{_KEY}'; a table is what "
            "`edanas tabulate` writes"
        )
    try:
        values = json.loads(text)
        version, digest = values["version"], str(values["sha256"])
        if version != VERSION:
            raise TableError(
                f"{path}: a table of format version {version}; this edanas reads version {VERSION}. Use the "
                "edanas that the table's description names, or build the table again"
            )
        description = Description.from_dict(values)
        description.space()
        expected = _layout(description)
        if description.backbones < 1 or len(digest) != len(_BLANK):
            raise ValueError(f"{description.backbones} backbones, SHA-256 '{digest}'")
    except TableError:
        raise
    except (EdanasError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, f"its description is incomplete ({type(error).__name__}: {error})") from error
    if {name: _plain(entry) for name, entry in entries.items()} != expected:
        raise _damaged(path, "its tensors are not those that its description calls for")
    size = path.stat().st_size
    wanted = offset + max(entry["data_offsets"][1] for entry in expected.values())
    if size != wanted:
        raise _damaged(path, f"it has {size:,} bytes and should have {wanted:,}")
    if verify and _digest(path, offset, digest) != digest:
        raise _damaged(path, "its bytes do not have the SHA-256 that it names")
    return description, _mapped(path, description, offset, "r"), digest


def _entries(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where its data begins."""
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        text = file.read(length) if len(start) == 8 and 2 <= length <= _LARGEST_HEADER else b""
    try:
        entries = json.loads(text)
        if len(text) != length or not isinstance(entries.get("__metadata__", {}), dict):
            raise ValueError
    except (ValueError, AttributeError) as error:
        raise TableError(
            f"{path}: not a table, nor any other safetensors file, or cut off in its first bytes; a table is "
            "what `edanas tabulate` writes"
        ) from error
    return entries, 8 + length


def _header(description: Description, digest: str) -> bytes:
    """The file's first bytes; as long for every digest."""
    content = {"version": VERSION, "sha256": digest, **description.to_dict()}
    entries = {"__metadata__": {_KEY: json.dumps(content, allow_nan=False)}, **_layout(description)}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _tensors(description: Description) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Wider types first, so that each tensor is aligned."""
    return {
        name: (kind, (description.backbones, *shape)) for name, (kind, shape) in description.row().items()
    }


def _layout(description: Description) -> dict[str, Any]:
    """The header's entries for the tensors."""
    entries, end = {}, 0
    for name, (kind, shape) in _tensors(description).items():
        start, end = end, end + _bytes(kind, shape)
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
    return entries


def _plain(entry: Any) -> dict[str, Any]:
    return {name: entry.get(name) for name in ("dtype", "shape", "data_offsets")}


def _bytes(kind: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * _DTYPES[kind].itemsize


def _mapped(path: Path, description: Description, offset: int, mode: Any) -> Arrays:
    arrays, at = {}, offset
    for name, (kind, shape) in _tensors(description).items():
        mapped = np.memmap(path, _DTYPES[kind], mode, at, shape)
        # A plain array on the same pages: indexing a memmap object itself costs microseconds.
        arrays[name] = np.asarray(mapped)
        at += _bytes(kind, shape)
    return arrays


def _digest(path: Path, data: int, named: str) -> str:
    """SHA-256 of the whole file with the digest that its header names as zeros."""
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(data).replace(named.encode(), _BLANK.encode(), 1))
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _damaged(path: Path, found: str) -> TableError:
    return TableError(f"{path}: the table is damaged: {found}; copy or download it again")
