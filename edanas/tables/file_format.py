"""The file of a table: a safetensors file with a JSON description, written atomically.

Any reader of safetensors files can open a table. This module does not use the safetensors library, because a
table may be larger than memory: the tensors are memory-mapped. `docs/reference/tables.md` describes each
tensor and each key.
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
from edanas.core.records import parse
from edanas.core.runfolder import replacing
from edanas.core.space import SearchSpace
from edanas.core.types import CONTINUOUS, Thresholds, Variable

VERSION = 1
"""Version of the format. Additional keys do not increase the version, since older readers ignore them."""

SEARCHED = "validation"
"""The part of the data on which a search judges candidates."""

HELD_OUT = ("calibration", "test")
"""Parts of the data for the final judgement of a search's front; a table holds one of the two."""

SEGMENT_COSTS = ("macs", "params", "activations")
"""Kinds of cost. Each kind has a number for every stage, then for every head, then for the last exit."""

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
    """The description of a table: everything in the file except the tensors.

    Args:
        backbones: Number of backbones in the table.
        variables: The variables of a backbone, as for `SearchSpace`.
        exit_points: Number of exit points.
        thresholds: Choices for the threshold at an exit point, unless a search sets its choices.
        criterion: Name and options of the confidence criterion.
        parts: Number of samples in each part, by name: the part that a search judges on, then the held-out
            part.
        exhaustive: True if the table holds every backbone of the space.
        space_size: Number of backbones in the space.
        classes: Names of the classes.
        failed: Backbones that could not be profiled. Each entry holds the backbone's choices and the text of
            the error.
        provenance: Settings, seed, versions, and digests of data and supernet. A search does not use them.
        image_stages: Indices of the stages after the first one that read the image; none by default. The
            stages before them cost nothing without an exit before them.
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
    image_stages: tuple[int, ...] = ()

    def space(self, thresholds: Thresholds | None = None) -> SearchSpace:
        """Return the space for a search on the table.

        Args:
            thresholds: Choices for the threshold at an exit point; `None`, the default, takes the table's
                choices.
        """
        return SearchSpace(self.variables, thresholds or self.thresholds, self.exit_points)

    def backbone_space(self) -> SearchSpace:
        """Return the space of backbones, whose genomes hold no thresholds."""
        return SearchSpace(self.variables, (None,), 0)

    def row(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return the data type and the shape of one backbone's row in each tensor, by the tensor's name."""
        exits = self.exit_points + 1
        tensors: dict[str, tuple[str, tuple[int, ...]]] = dict.fromkeys(SEGMENT_COSTS, ("I64", (2 * exits,)))
        tensors["genomes"] = ("I16", (len(self.variables),))
        for part, samples in self.parts.items():
            tensors[f"{part}.confidence"] = ("F16", (exits, samples))
        for part, samples in self.parts.items():
            tensors[f"{part}.correct"] = ("U8", (exits, -(-samples // 8)))
        return tensors

    def elements(self) -> dict[str, tuple[np.dtype[Any], int]]:
        """Return data type and number of elements of one backbone's row, by tensor, without `genomes`."""
        row = self.row()
        return {n: (_DTYPES[kind], math.prod(shape)) for n, (kind, shape) in row.items() if n != "genomes"}

    def to_dict(self) -> dict[str, Any]:
        """Return the description as a dictionary of JSON types."""
        variables = [
            {**asdict(v), "when": sorted(v.when, key=lambda c: (c is None, c or 0))} for v in self.variables
        ]
        for variable in variables:
            del variable["exit"]  # tables hold networks with one kind of head
        shallow = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**shallow, "variables": variables}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Description":
        """Return the description from a result of `to_dict`; unknown keys are ignored.

        Raises:
            LookupError: A key is missing.
            TypeError: A value has the wrong type.
        """
        values = {"image_stages": (), **values}  # older tables lack the key
        known = {each.name: values[each.name] for each in fields(cls)}
        variables = tuple(
            Variable(str(v["name"]), tuple(v["choices"]), v["parent"], frozenset(v["when"]), v.get("stage"))
            for v in values["variables"]
        )
        for name in ("thresholds", "classes", "failed", "image_stages"):
            known[name] = known[name] if known[name] == CONTINUOUS else tuple(known[name])
        if not {*known["image_stages"]} <= {*range(1, known["exit_points"] + 1)}:
            raise TypeError(f"image_stages: found {known['image_stages']}")
        return cls(**{**known, "variables": variables})


@contextmanager
def creating(path: Path, description: Description) -> Iterator[Arrays]:
    """Create a table's file: yield a writable array for each tensor, by name.

    The caller fills the arrays in the `with` block. The file appears at `path` when the block ends without an
    error; after an error, no file remains.

    Args:
        path: Path of the table's file.
        description: The description of the table, which determines the shapes of the arrays.

    Raises:
        RunError: The file cannot be written.
    """
    header = _header(description, _BLANK)
    with replacing(path) as partial:
        size = sum(_bytes(*tensor) for tensor in _tensors(description).values())
        with partial.open("wb") as file:
            file.write(header)
            # Allocate the space now: on a full disk, a write to a mapped page would kill the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, len(header) + size)
            file.truncate(len(header) + size)
        yield _mapped(partial, description, len(header), "r+")
        with partial.open("r+b") as file:
            file.write(_header(description, _digest(partial, len(header), _BLANK)))


def read(path: Path, *, verify: bool = True) -> tuple[Description, Arrays, str]:
    """Return a table's description, its tensors by name, and the SHA-256 of its content.

    The tensors are memory-mapped and read-only.

    Args:
        path: Path of the table's file.
        verify: True, the default, reads the whole file and checks its SHA-256.

    Raises:
        TableError: The file cannot be read, is not a table, has another format version, or is damaged.
    """
    try:
        entries, offset = _entries(path)
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror or error}") from error
    text = entries.pop("__metadata__", {}).get(_KEY)
    if text is None:
        raise TableError(
            f"{path}: is a safetensors file, but not a table: its metadata has no '{_KEY}'; expected a file "
            "that `edanas tabulate` writes"
        )
    try:
        values = parse(text)
        version, digest = values["version"], str(values["sha256"])
        if version != VERSION:
            raise TableError(
                f"{path}: found format version {version}; this edanas reads version {VERSION}. Use the "
                "version of edanas that the table's description names, or build the table again"
            )
        description = Description.from_dict(values)
        description.space()
        expected = _layout(description)
        if description.backbones < 1 or len(digest) != len(_BLANK):
            raise ValueError(f"{description.backbones} backbones, SHA-256 '{digest}'")
    except TableError:
        raise
    except (EdanasError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, f"its description is invalid ({type(error).__name__}: {error})") from error
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
        entries = parse(text)
        if len(text) != length or not isinstance(entries.get("__metadata__", {}), dict):
            raise ValueError
    except (ValueError, AttributeError) as error:
        raise TableError(
            f"{path}: is not a table, since it is not a safetensors file, or cut off in its first bytes; "
            "expected a file that `edanas tabulate` writes"
        ) from error
    return entries, 8 + length


def _header(description: Description, digest: str) -> bytes:
    """Return the first bytes of the file, up to the tensors; their number does not depend on the digest."""
    content = {"version": VERSION, "sha256": digest, **description.to_dict()}
    entries = {"__metadata__": {_KEY: json.dumps(content, allow_nan=False)}, **_layout(description)}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _tensors(description: Description) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return data type and shape of each tensor, by name; wider types come first, for alignment."""
    return {
        name: (kind, (description.backbones, *shape)) for name, (kind, shape) in description.row().items()
    }


def _layout(description: Description) -> dict[str, Any]:
    """Return the entries of the header that describe the tensors: data type, shape and position."""
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
    """Return the SHA-256 of the whole file, computed with zeros in place of the digest in the header.

    Args:
        path: Path of the table's file.
        data: Position of the first tensor, in bytes.
        named: The digest in the header.
    """
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(data).replace(named.encode(), _BLANK.encode(), 1))
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _damaged(path: Path, damage: str) -> TableError:
    return TableError(f"{path}: the table is damaged: {damage}; copy or download it again")
