"""Series to classify from files of NumPy."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import DataError

ENDINGS = (".npy", ".npz")
"""Endings of the files."""

NAMES = ("x", "X", "x_test", "X_test", "series", "data", "arr_0")
"""Names of the array with the series in an `.npz` file, the first that exists."""


def series_batches(
    paths: Sequence[str | Path], size: int
) -> Iterator[tuple[int, list[tuple[str, npt.NDArray[Any]]]]]:
    """Read the series of files in order, batch by batch.

    Args:
        paths: Paths of `.npy` and `.npz` files with series (N, C, L) or (N, L).
        size: Largest number of series of a batch.

    Yields:
        For each batch, its number of series, and a list with name and series. The name is the path and the
        row, from 0.

    Raises:
        DataError: A file cannot be read, or has no array of series.
    """
    for path in map(Path, paths):
        series = _series(path)
        for start in range(0, len(series), size):
            rows = range(start, min(start + size, len(series)))
            yield len(rows), [(f"{path}[{row}]", series[row]) for row in rows]


def _series(path: Path) -> npt.NDArray[Any]:
    if path.suffix.lower() not in ENDINGS:
        raise DataError(
            f"{path}: found no file of series; allowed: {' or '.join(ENDINGS)}, since the network classifies "
            "series"
        )
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            array = content
        else:
            with content:
                name = next((each for each in NAMES if each in content.files), None)
                if name is None:
                    listed = ", ".join(content.files) or "nothing"
                    raise DataError(f"{path}: found {listed}; allowed: an array named {', '.join(NAMES)}")
                array = content[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read as a file of NumPy: {error}") from error
    if array.ndim not in (2, 3):
        raise DataError(f"{path}: found shape {array.shape}; allowed: (N, C, L) or (N, L)")
    return array
