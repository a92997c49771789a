"""Parquet files as Hugging Face stores data sets in them, read by the package `datasets`."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edanas.core.errors import DataError
from edanas.core.optional_packages import import_optional
from edanas.data.item_sets import part_of_columns
from edanas.data.joined_parts import join_parts
from edanas.data.part_names import part_of
from edanas.data.sample_set import SampleSet


def parquet_files(path: Path) -> list[Path]:
    """Return the parquet files at a path: the file, or those in the folder and its folder `data`.

    Example:
        >>> parquet_files(Path("no-such-folder"))
        []
    """
    if path.is_file():
        return [path] if path.suffix.lower() == ".parquet" else []
    return sorted([*path.glob("*.parquet"), *path.glob("data/*.parquet")])


def set_of_parquet(path: Path, group: str = "") -> SampleSet:
    """Return the samples in parquet files; the first word of a file's name is its part, e.g. `train-0001`.

    Args:
        path: A parquet file, or a folder of parquet files.
        group: Name of the column of groups; empty = no groups.

    Raises:
        ConfigError: The package `datasets` is not installed, or there is no column of groups of that name.
        DataError: There is no such file, a file cannot be read, or the names of some files alone stand for
            parts.
    """
    files = parquet_files(path)
    if not files:
        raise DataError(f"{path}: found no parquet file; allowed: a parquet file, or a folder of them")
    by_part: dict[str, list[str]] = {}
    for file in files:
        part = part_of(file.stem.partition("-of-")[0].rstrip("0123456789-")) or ""
        by_part.setdefault(part, []).append(str(file))
    if len(by_part) > 1 and "" in by_part:
        raise DataError(
            f"{by_part[''][0]}: found beside files of parts; allowed: names that begin with train, "
            "validation or test. Rename or move the file"
        )
    datasets = import_optional("data", "parquet", "hf", "datasets")
    with tempfile.TemporaryDirectory() as cache:
        datasets.disable_progress_bars()
        try:
            sets = {
                part: datasets.Dataset.from_parquet(names, cache_dir=cache, keep_in_memory=False)
                for part, names in by_part.items()
            }
        except Exception as error:
            # The package raises errors of its own and of pyarrow.
            cause = error.__cause__ or error
            raise DataError(f"{path}: cannot be read as parquet: {cause}") from error
        return set_of_columns(sets, group)


def set_of_columns(sets: Mapping[str, Any], group: str = "") -> SampleSet:
    """Return the samples of a `datasets.Dataset` for each part.

    Args:
        sets: Name of the part -> data set; the empty name means that the split chooses the part.
        group: Name of the column of groups; empty = no groups.

    Raises:
        ConfigError: There is no column of groups of that name.
        DataError: The columns have no usual names, or parts differ in their classes' names.
    """
    pairs = [part_of_columns(data, part, group) for part, data in sets.items()]
    names = {classes for _, classes in pairs}
    if len(names) > 1:
        raise DataError("data: found other names of classes in another part; allowed: the same in all parts")
    return join_parts([samples for samples, _ in pairs], names.pop())
