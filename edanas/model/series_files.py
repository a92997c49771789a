"""Series and images to classify from files of NumPy."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import DataError
from edanas.data.named_arrays import SAMPLE_NAMES, role_of

ENDINGS = (".npy", ".npz")
"""Endings of the files."""

_PARTS = ("", "test", "validation", "train")
"""Parts of an `.npz` file, in the order in which the first that exists is read."""


def array_batches(
    paths: Sequence[str | Path], size: int, *, series: bool
) -> Iterator[tuple[int, list[tuple[str, npt.NDArray[Any]]]]]:
    """Read the samples of files in order, batch by batch.

    Args:
        paths: Paths of `.npy` and `.npz` files with series (N, C, L), (N, L, C) or (N, L). Images are
            (N, C, H, W), (N, H, W, C) or (N, H, W). The array of an `.npz` file has a name as in training;
            see `edanas.data.named_arrays.set_of_arrays`.
        size: Largest number of samples of a batch.
        series: True for series, false for images.

    Yields:
        For each batch, its number of samples, and a list with name and sample. The name is the path and the
        row, from 0.

    Raises:
        DataError: A file cannot be read, or has no array of samples.
    """
    for path in map(Path, paths):
        samples = _samples(path, series=series)
        for start in range(0, len(samples), size):
            rows = range(start, min(start + size, len(samples)))
            yield len(rows), [(f"{path}[{row}]", samples[row]) for row in rows]


def _samples(path: Path, *, series: bool) -> npt.NDArray[Any]:
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
                by_part = {role_of(name)[0]: name for name in content.files if role_of(name)[1] == "samples"}
                name = next((by_part[part] for part in _PARTS if part in by_part), None)
                if name is None:
                    listed = ", ".join(content.files) or "nothing"
                    usual = ", ".join(SAMPLE_NAMES)
                    raise DataError(f"{path}: found {listed}; allowed: an array named {usual}")
                array = content[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        advice = "; save numbers, with NaN after shorter series" if "pickle" in str(error).lower() else ""
        raise DataError(f"{path}: cannot be read as a file of NumPy: {error}{advice}") from error
    if array.ndim not in ((2, 3) if series else (3, 4)):
        allowed = "(N, C, L) or (N, L)" if series else "(N, C, H, W), (N, H, W, C) or (N, H, W)"
        raise DataError(f"{path}: found shape {array.shape}; allowed: {allowed}")
    return array
