"""The file of a table: a safetensors file with a JSON description, written atomically.

The module lays out the file itself, since a table may be larger than memory: the tensors are memory-mapped.
Any reader of safetensors files can open it. `docs/reference/tables.md` describes each tensor and each key.
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
"""Version of the format; additional keys do not increase it, as older readers ignore them."""

SEARCHED = "validation"
"""The part on which a search judges candidates."""

HELD_OUT = ("calibration", "test")
"""Parts on which the resulting fronts may be judged; a table holds one such part."""

SEGMENT_COSTS = ("macs", "params", "activations")
"""Costs of each segment: of the M stages, of the N heads, of the last exit, in this order."""

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
    """The description of a table, besides its tensors.

    Args:
        backbones: n, the number of backbones in the table.
        variables: The backbone's dimensions, as for `SearchSpace`.
        exit_points: N.
        thresholds: Default choices for an exit point.
        criterion: Name and options of the confidence criterion.
        parts: Number of samples by part: the part that a search judges on, then the held-out part.
        exhaustive: Whether every backbone of the space is in the table.
        space_size: Number of backbones in the space.
        classes: The classes' names.
        failed: Backbones that could not be profiled, each with its choices and the error.
        provenance: Settings, seed, versions, digests of data and supernet, for information only.
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
        """Return the search space of a search on the table, with the table's thresholds or others."""
        return SearchSpace(self.variables, thresholds or self.thresholds, self.exit_points)

    def backbone_space(self) -> SearchSpace:
        """Return the space of backbones: genomes without thresholds."""
        return SearchSpace(self.variables, (None,), 0)

    def row(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return the data type and the shape of each tensor's part for one backbone."""
        exits = self.exit_points + 1
        tensors: dict[str, tuple[str, tuple[int, ...]]] = dict.fromkeys(SEGMENT_COSTS, ("I64", (2 * exits,)))
        tensors["genomes"] = ("I16", (len(self.variables),))
        for part, samples in self.parts.items():
            tensors[f"{part}.confidence"] = ("F16", (exits, samples))
        for part, samples in self.parts.items():
            tensors[f"{part}.correct"] = ("U8", (exits, -(-samples // 8)))
        return tensors

    def elements(self) -> dict[str, tuple[np.dtype[Any], int]]:
        """Return the data type and number of elements for one backbone, of each tensor except the genomes."""
        row = self.row()
        return {n: (_DTYPES[kind], math.prod(shape)) for n, (kind, shape) in row.items() if n != "genomes"}

    def to_dict(self) -> dict[str, Any]:
        """Return the description in JSON's types."""
        variables = [
            {**asdict(v), "when": sorted(v.when, key=lambda c: (c is None, c or 0))} for v in self.variables
        ]
        shallow = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**shallow, "variables": variables}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Description":
        """Read the result of `to_dict`; unknown keys are ignored.

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
    """Yield an array for each tensor; the file is moved to `path` when the block ends without an error.

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
                # Allocated now: on a full disk, writing to a mapped page would kill the process.
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
    """Return a table's description, its tensors, mapped read-only, and the digest of its content.

    Args:
        path: The file.
        verify: Whether to read the whole file and check the digest.

    Raises:
        TableError: The file is missing, no table, of another version, or damaged.
    """
    try:
        entries, offset = _entries(path)
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror or error}") from error
    text = entries.pop("__metadata__", {}).get(_KEY)
    if text is None:
        raise TableError(
            f"{path}: a safetensors file, but no table: its metadata has no '{_KEY}'; expected a file that "
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
    if {name: _layout_entry(entry) for name, entry in entries.items()} != expected:
        raise _damaged(path, "its tensors do not match its description")
    size = path.stat().st_size
    expected_size = offset + max(entry["data_offsets"][1] for entry in expected.values())
    if size != expected_size:
        raise _damaged(path, f"it has {size:,} bytes and should have {expected_size:,}")
    if verify and _digest(path, offset, digest) != digest:
        raise _damaged(path, "its content does not match its SHA-256")
    return description, _mapped(path, description, offset, "r"), digest


def _entries(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header of a safetensors file, and the offset of its data."""
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
            f"{path}: not a table, nor any other safetensors file, or cut off in its first bytes; expected "
            "a file that `edanas tabulate` writes"
        ) from error
    return entries, 8 + length


def _header(description: Description, digest: str) -> bytes:
    """Return the file's first bytes; their length does not depend on the digest."""
    content = {"version": VERSION, "sha256": digest, **description.to_dict()}
    entries = {"__metadata__": {_KEY: json.dumps(content, allow_nan=False)}, **_layout(description)}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _tensors(description: Description) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return data type and shape of each tensor, wider types first for alignment."""
    return {
        name: (kind, (description.backbones, *shape)) for name, (kind, shape) in description.row().items()
    }


def _layout(description: Description) -> dict[str, Any]:
    """Return the header's entries for the tensors."""
    entries, end = {}, 0
    for name, (kind, shape) in _tensors(description).items():
        start, end = end, end + _bytes(kind, shape)
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
    return entries


def _layout_entry(entry: Any) -> dict[str, Any]:
    return {name: entry.get(name) for name in ("dtype", "shape", "data_offsets")}


def _bytes(kind: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * _DTYPES[kind].itemsize


def _mapped(path: Path, description: Description, offset: int, mode: Any) -> Arrays:
    arrays, at = {}, offset
    for name, (kind, shape) in _tensors(description).items():
        mapped = np.memmap(path, _DTYPES[kind], mode, at, shape)
        # A plain array on the same pages: indexing a memmap object takes microseconds.
        arrays[name] = np.asarray(mapped)
        at += _bytes(kind, shape)
    return arrays


def _digest(path: Path, data: int, named: str) -> str:
    """Return the SHA-256 of the whole file, with zeros in place of the digest in its header."""
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(data).replace(named.encode(), _BLANK.encode(), 1))
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _damaged(path: Path, damage: str) -> TableError:
    return TableError(f"{path}: the table is damaged: {damage}; copy or download it again")
