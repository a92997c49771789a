"""Images in files for a run, with the labels of a folder or a table."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from edanas.core.errors import ConfigError, near_miss
from edanas.core.types import ImageSet, LoadedData
from edanas.data.cache import decode_once
from edanas.data.decoding import Fit
from edanas.data.file_table import FileTable

CHANNELS = ("auto", "grey", "rgb")
"""Allowed values of the option `channels`."""


def check_channels(channels: str) -> None:
    """Check the option `channels`.

    Raises:
        ConfigError: It is unknown.
    """
    if channels not in CHANNELS:
        raise ConfigError(f"data.channels: found '{channels}'.{near_miss(channels, CHANNELS)}")


def load_files(
    table: FileTable, fit: Fit, channels: str, remarks: Sequence[str] = (), *, skip_unreadable: bool = False
) -> LoadedData:
    """Decode the images of a table.

    Args:
        table: The files with their labels.
        fit: Size of the images; see `edanas.data.decoding.Fit`.
        channels: One of `CHANNELS`.
        remarks: Sentences about the reading of the table.
        skip_unreadable: Skip files that cannot be read as images.

    Raises:
        DataError: A file cannot be read as an image.
    """
    decoded = decode_once(table.files, fit, channels, skip_unreadable=skip_unreadable)
    rows = np.array(decoded.read, dtype=np.int64)
    labels = torch.from_numpy(table.labels.codes[rows])
    samples = ImageSet(decoded.images, labels, table.labels.names, table.labels.other_values)
    parts = np.array(table.parts, dtype=np.str_)[rows]
    names = tuple(table.names[row] for row in rows)
    groups = tuple(table.groups[row] for row in rows) if table.groups else ()
    return LoadedData(samples, parts, (*remarks, *decoded.remarks), names, groups)


def paths_below(files: Sequence[Path], root: Path) -> tuple[str, ...]:
    """Return paths relative to a folder, with `/`."""
    return tuple(file.relative_to(root).as_posix() for file in files)
