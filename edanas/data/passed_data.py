"""Data that a program passes as objects: stored under `EDANAS_HOME`, and named for the setting `data`."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas.core.errors import ConfigError, DataError, type_of
from edanas.core.machine import home
from edanas.core.runfolder import replacing
from edanas.data.class_labels import plain_labels
from edanas.data.file_table import TEXT_ENDING, columns_of, file_table, typed
from edanas.data.item_sets import is_column_set, is_item_set, part_of_items
from edanas.data.joined_parts import PartSamples, join_parts
from edanas.data.named_arrays import set_of_arrays
from edanas.data.parquet_files import set_of_columns
from edanas.data.part_names import WORDS, part_of
from edanas.data.sample_arrays import samples_of
from edanas.data.sample_set import SampleSet
from edanas.data.sample_store import store

FORMS = (
    "a name or path, (X, y), a dictionary of parts or of arrays, a torch Dataset, a Hugging Face Dataset, or "
    "a pandas table of paths and labels"
)
"""The forms of data, for messages."""


def data_name(data: Any, group: str = "", settings: Mapping[str, Any] | None = None) -> str:
    """Return the value of the setting `data` for data of any form; objects are stored first.

    Args:
        data: The name or path of a data set, which is returned as a text; or an object of one of `FORMS`.
        group: Name of the column, array or key with the group of each sample; empty = no groups.
        settings: Settings of the user that name columns of a table: `data.path_column`, `data.label_column`.

    Raises:
        ConfigError: The group does not exist.
        DataError: The object has none of the forms, or its samples or labels are wrong.

    Example:
        >>> import numpy as np
        >>> data_name((np.zeros((2, 8, 8), np.uint8), ["a", "b"]))[:7]
        'arrays:'
    """
    if isinstance(data, str | Path):
        return str(data)
    if _is_table(data):
        return str(_stored_table(data, group, settings or {}))
    return f"arrays:{store(sample_set_of(data, group))}"


def sample_set_of(data: Any, group: str = "") -> SampleSet:
    """Return the samples and labels of an object; see `data_name`."""
    if isinstance(data, Mapping):
        if is_column_set(next(iter(data.values()), None)):
            return set_of_columns({_part(name): each for name, each in data.items()}, group)
        if _has_parts(data):
            return _set_of_parts(data, group)
        return set_of_arrays(data, group)
    if is_column_set(data):
        return set_of_columns({"": data}, group)
    return _set_of_parts({"": data}, group)


def _set_of_parts(parts: Mapping[str, Any], group: str) -> SampleSet:
    sets, class_names = [], set[tuple[str, ...]]()
    for name, data in parts.items():
        part, names = _part_samples(data, _part(name) if name else "", group)
        sets.append(part)
        class_names.add(names)
    if len(class_names) > 1:
        raise DataError("data: found other names of classes in another part; allowed: the same in all parts")
    return join_parts(sets, class_names.pop())


def _part_samples(data: Any, part: str, group: str) -> tuple[PartSamples, tuple[str, ...]]:
    if isinstance(data, tuple | list):
        return _pair(data, part, group), ()
    if is_item_set(data):
        if group:
            raise ConfigError("data.group: a data set of pairs has no groups; allowed: (X, y, groups)")
        return part_of_items(data, part)
    raise DataError(f"data: found {type_of(data)}; allowed: {FORMS}")


def _pair(data: Sequence[Any], part: str, group: str) -> PartSamples:
    where = f" in the {part} part" if part else ""
    if len(data) not in (2, 3):
        raise DataError(f"data: found {type_of(data)} of {len(data)}{where}; allowed: (X, y), (X, y, groups)")
    if data[1] is None:
        raise DataError(f"labels: found none{where}; allowed: one label for each sample")
    samples, labels = samples_of(data[0], f"X{where}"), plain_labels(data[1])
    groups = plain_labels(data[2], "groups") if len(data) == 3 else ()
    if group and not groups:
        raise ConfigError(f"data.group: found '{group}', but (X, y) has no names; allowed: (X, y, groups)")
    for name, values in (("labels", labels), ("groups", groups)):
        if len(values) != len(samples) and (name == "labels" or len(data) == 3):
            raise DataError(
                f"{name}: found {len(values):,} for {len(samples):,} samples{where}; "
                "the two numbers must be equal"
            )
    return PartSamples(part, samples, labels, groups)


def _has_parts(data: Mapping[str, Any]) -> bool:
    """Return True if the keys are names of parts, and the values hold samples with labels."""
    known = [name for name in data if str(name).lower() in WORDS]
    if known and len(known) < len(data):
        others = ", ".join(f"'{name}'" for name in data if name not in known)
        raise DataError(f"data: found {others} beside parts; allowed: train, validation, test")
    return bool(known)


def _part(name: str) -> str:
    part = part_of(str(name))
    if part is None:
        raise DataError(f"data: found a part '{name}'; allowed: train, validation, test")
    return part


def _is_table(data: Any) -> bool:
    return hasattr(data, "columns") and hasattr(data, "to_csv")


def _stored_table(table: Any, group: str, settings: Mapping[str, Any]) -> Path:
    """Write a table with absolute paths as CSV, and return its path."""
    columns = columns_of(table)
    named = [str(settings.get(f"data.{option}", "")) for option in ("path_column", "label_column")]
    # Errors of the table are raised here, where they are in the user's terms.
    files = file_table(columns, Path.cwd(), named[0], named[1], group)
    paths = next(name for name, values in columns.items() if tuple(map(str, values)) == files.names)
    columns[paths] = [str(file) for file in files.files]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    content = text.getvalue().encode()
    labels = list(files.labels.values)
    ending = ".csv" if typed([str(label).strip() for label in labels]) == labels else TEXT_ENDING
    path = home() / "samples" / f"{hashlib.blake2b(content, digest_size=8).hexdigest()}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_bytes(content)
    return path
