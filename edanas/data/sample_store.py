"""Sample sets in files under `EDANAS_HOME`, which processes map into memory and share by their path."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edanas.core.errors import DataError
from edanas.core.machine import home
from edanas.core.mapped import released
from edanas.data.class_labels import ClassLabels
from edanas.data.sample_set import EqualSamples, Samples, SampleSet, UnequalSamples

_VALUES, _SHAPES, _CODES, _REST = "values.npy", "shapes.npy", "codes.npy", "set.json"
"""Files of a stored set: its numbers, the shapes of unequal samples, classes by number, and the rest."""


def store_path(digest: str) -> Path:
    """Return the folder of a stored set; it need not exist."""
    return home() / "samples" / digest


def store(samples: SampleSet) -> str:
    """Write a sample set, and return its digest; a set that is stored already is not written again.

    Raises:
        DataError: The files cannot be written.

    Example:
        >>> images = EqualSamples(np.zeros((2, 1, 8, 8), dtype=np.uint8))
        >>> digest = store(SampleSet.of(images, ["cat", "dog"]))
        >>> stored_set(digest).labels.names
        ('cat', 'dog')
    """
    digest = samples.digest()
    folder = store_path(digest)
    if (folder / _REST).exists():
        return digest
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{digest}.", suffix=".partial", dir=folder.parent))
        try:
            _write(samples, partial)
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        if not (folder / _REST).exists():  # another process may have stored the set meanwhile
            raise DataError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return digest


def stored_set(digest: str) -> SampleSet:
    """Return a stored set, with its samples mapped from their file.

    Raises:
        DataError: The set is not stored, or its files are damaged.
    """
    folder = store_path(digest)
    try:
        rest = json.loads((folder / _REST).read_text(encoding="utf-8"))
        codes = np.load(folder / _CODES)
        labels = ClassLabels(codes, tuple(rest["values"]), tuple(rest["classes"]))
        return SampleSet(
            _samples(folder),
            labels,
            np.array(rest["parts"], dtype=np.str_),
            tuple(rest["groups"]),
            tuple(rest["names"]),
            tuple(rest["remarks"]),
        )
    except FileNotFoundError as error:
        raise DataError(
            f"data: the arrays with digest {digest} are not in {folder.parent}; "
            "allowed: the same arrays again, as `edanas.search(data=...)`"
        ) from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{folder}: damaged: {error}; delete the folder, and give the arrays again"
        ) from error


def _samples(folder: Path) -> Samples:
    values = released(np.load(folder / _VALUES, mmap_mode="r"))
    if (folder / _SHAPES).exists():
        return UnequalSamples(values, np.load(folder / _SHAPES))
    return EqualSamples(values)


def _write(samples: SampleSet, folder: Path) -> None:
    values = samples.samples
    if isinstance(values, UnequalSamples):
        np.save(folder / _SHAPES, values.shapes)
        shape = values.values.shape
    else:
        shape = (len(values), *(values.shape or ()))
    header: dict[str, Any] = {
        "descr": np.lib.format.dtype_to_descr(values.dtype),
        "fortran_order": False,
        "shape": shape,
    }
    with (folder / _VALUES).open("wb") as file:
        np.lib.format.write_array_header_2_0(file, header)
        for piece in values.pieces():
            file.write(np.ascontiguousarray(piece).data)
    np.save(folder / _CODES, samples.labels.codes)
    rest = {
        "values": samples.labels.values,
        "classes": samples.labels.names,
        "parts": samples.parts.tolist(),
        "groups": samples.groups,
        "names": samples.names,
        "remarks": samples.remarks,
    }
    (folder / _REST).write_text(json.dumps(rest), encoding="utf-8")
