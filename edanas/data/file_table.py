"""Tables of paths of images or recordings and their labels: CSV files, and tables of pandas."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edanas.core.errors import ConfigError, DataError, near_miss
from edanas.core.machine import user_path
from edanas.data.class_labels import ClassLabels, check_no_gap, plain_labels
from edanas.data.decoding import SUFFIXES
from edanas.data.grouping import groups_of
from edanas.data.joined_parts import check_part_labels
from edanas.data.named_arrays import GROUP_NAMES, LABEL_NAMES, PART_NAMES
from edanas.data.part_names import part_of
from edanas.data.sound_files import SUFFIXES as SOUND_SUFFIXES

TEXT_ENDING = ".text.csv"
"""End of the name of a stored table whose texts stay as they are, also if they are written as numbers."""

_NUMBER = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)
"""A whole number of 64 bits as programs write it; `007` is a text."""


@dataclass(frozen=True)
class FileTable:
    """Image files with their labels.

    Args:
        files: Path of each image.
        names: Path of each image as the table has it, for messages.
        labels: The classes, and the class of each image.
        parts: Part of each image; empty if the split chooses the part.
        groups: Group of each image; empty = no groups.
    """

    files: list[Path]
    names: tuple[str, ...]
    labels: ClassLabels
    parts: list[str]
    groups: tuple[str, ...] = ()


def table_of_csv(path: Path, path_column: str = "", label_column: str = "", group: str = "") -> FileTable:
    """Return the images in a CSV file; relative paths are relative to the folder of the file.

    Args:
        path: A file with a header, separated by commas, semicolons or tabs.
        path_column: Name of the column of paths; empty if its values show it.
        label_column: Name of the column of labels; empty if its name shows it.
        group: Name of the column of groups; empty = no groups.

    Raises:
        ConfigError: There is no column of that name.
        DataError: The file cannot be read, or the columns cannot be told apart; the message names the option.
    """
    columns = _read_csv(path)
    return file_table(columns, path.parent, path_column, label_column, group, place=str(path))


def grouped_table(path: Path, path_column: str, label_column: str, group: str) -> FileTable:
    """Return the files in a CSV file; `group` is a column, or a pattern in paths. See `table_of_csv`."""
    if not any(character in group for character in "()[]\\^$*+?{}|"):
        return table_of_csv(path, path_column, label_column, group)
    table = table_of_csv(path, path_column, label_column)
    return replace(table, groups=groups_of(table.names, group))


def file_table(
    columns: dict[str, list[Any]],
    root: Path,
    path_column: str = "",
    label_column: str = "",
    group: str = "",
    place: str = "data",
) -> FileTable:
    """Return the images in a table; see `table_of_csv`.

    Args:
        columns: Name -> values.
        root: Folder that relative paths are relative to.
        path_column: See `table_of_csv`.
        label_column: See `table_of_csv`.
        group: See `table_of_csv`.
        place: Name of the table in messages.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("a.png", "b.png"):
        ...         _ = (Path(folder) / name).write_bytes(b"")
        ...     file_table({"file": ["a.png", "b.png"], "class": ["cat", "dog"]}, Path(folder)).labels.names
        ('cat', 'dog')
    """
    for option, name in (("path_column", path_column), ("label_column", label_column), ("group", group)):
        if name and name not in columns:
            hint = near_miss(name, list(columns))
            raise ConfigError(f"data.{option}: {place} has no column '{name}'.{hint}")
    paths = path_column or _path_column(columns, place)
    # Pandas writes the index as a column without a name.
    rest = [name for name in columns if name and name not in (paths, group)]
    parts = next((name for name in rest if name.lower() in PART_NAMES), "")
    groups = group or next((name for name in rest if name.lower() in GROUP_NAMES), "")
    labels = label_column or _label_column([name for name in rest if name not in (parts, groups)], place)
    named = _parts(columns[parts], place) if parts else [""] * len(columns[paths])
    values = plain_labels(columns[labels])
    check_part_labels(named, values)
    for column, content in ((paths, "path"), *(((groups, "group"),) if groups else ())):
        check_no_gap(columns[column], f"{place}: column '{column}'", content)
    names = tuple(map(str, columns[paths]))
    files = [root / user_path(name) for name in names]
    absent = [row for row, file in enumerate(files) if not file.exists()]
    if absent:
        rows = f" ({len(absent):,} such rows)" if len(absent) > 1 else ""
        raise DataError(
            f"{place}: row {absent[0]} names {files[absent[0]]}, which does not exist{rows}; allowed: "
            f"absolute paths, and paths relative to {root}"
        )
    group_of = tuple(map(str, plain_labels(columns[groups]))) if groups else ()
    return FileTable(files, names, ClassLabels.of(values), named, group_of)


def _read_csv(path: Path) -> dict[str, list[Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            separator = max(",;\t", key=head.count)
            rows = [row for row in csv.reader(file, delimiter=separator) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table: {error}") from error
    if len(rows) < 2:
        raise DataError(f"{path}: found {len(rows)} rows; allowed: a header, and one row for each image")
    as_written = path.name.endswith(TEXT_ENDING)
    if not as_written:
        rows = [[field.strip() for field in row] for row in rows]
    header, *rows = rows
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise DataError(f"{path}: row {number} has {len(row)} fields, and the header {len(header)}")
    if any(map(_is_path, header)):
        raise DataError(f"{path}: found a path in the first line; allowed: a header with names of columns")
    _check_names(header, str(path))
    read = _as_texts if as_written else typed
    return {name: read([row[at] for row in rows]) for at, name in enumerate(header)}


def _check_names(names: Sequence[str], place: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{place}: found several columns '{twice}'; allowed: one column of each name")


def _as_texts(values: Sequence[str]) -> list[Any]:
    """Return texts, with empty ones as missing."""
    return [value or None for value in values]


def typed(values: Sequence[str]) -> list[Any]:
    """Return texts as whole numbers or booleans if all are written as such, and empty ones as missing.

    Example:
        >>> typed(["1", ""]), typed(["True"]), typed(["1", "x"])
        ([1, None], [True], ['1', 'x'])
    """
    filled = [value for value in values if value]
    if filled and all(_NUMBER.fullmatch(value) for value in filled):
        return [int(value) if value else None for value in values]
    if filled and set(filled) <= {"True", "False"}:
        return [value == "True" if value else None for value in values]
    return _as_texts(values)


def _is_path(value: Any) -> bool:
    endings = SUFFIXES | SOUND_SUFFIXES
    return isinstance(value, str | Path) and Path(value).suffix.lower() in endings


def _path_column(columns: dict[str, list[Any]], place: str) -> str:
    def holds_paths(values: Sequence[Any]) -> bool:
        filled = [value for value in values if value is not None]
        return bool(filled) and all(map(_is_path, filled))

    names = [name for name, values in columns.items() if holds_paths(values)]
    if len(names) == 1:
        return names[0]
    problem = (
        f"several columns of paths ({', '.join(names)})"
        if names
        else "no column of paths of images or recordings"
    )
    raise DataError(
        f"{place}: found {problem} among {', '.join(map(str, columns))}; add --set data.path_column=NAME"
    )


def _label_column(names: Sequence[str], place: str) -> str:
    usual = [name for name in names if name.lower() in LABEL_NAMES]
    if len(usual) == 1:
        return usual[0]
    if len(names) == 1:
        return names[0]
    raise DataError(
        f"{place}: the column of labels is unclear among {', '.join(names) or 'no columns'}; add --set "
        "data.label_column=NAME"
    )


def _parts(values: Sequence[Any], place: str) -> list[str]:
    parts = {value: "" if value in (None, "") else part_of(str(value)) for value in dict.fromkeys(values)}
    for value, part in parts.items():
        if part is None:
            raise DataError(f"{place}: found part '{value}'; allowed: train, validation, test or nothing")
    return [str(parts[value]) for value in values]


def columns_of(table: Any) -> dict[str, list[Any]]:
    """Return the columns of a table of pandas."""
    _check_names([str(name) for name in table.columns], "data")
    return {str(name): plain_labels(table[name]) for name in table.columns}
