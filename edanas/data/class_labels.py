"""Classes of labels of any kind: texts, whole numbers, booleans and categories."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import DataError, type_of
from edanas.data.folder_layout import natural_key
from edanas.data.plain_arrays import as_array, is_missing

Value = str | int | float | bool
"""A label as the user wrote it, in a type that JSON holds."""

MISSING = -1
"""Whole number that stands for a missing label where it fills a whole part."""


@dataclass(frozen=True)
class ClassLabels:
    """The classes of a data set, and the class of each sample.

    Networks see the numbers 0 to K - 1 of the K classes. Classes are in the order of their names, with digits
    compared as numbers; labels that are all numbers are in the order of the numbers.

    Args:
        codes: Class (S,) int64 of each sample, from 0 to K - 1.
        values: The label of each class, as the user wrote it.
        names: Name of each class, for messages and reports.

    Example:
        >>> labels = ClassLabels.of(["dog", "cat", "dog"])
        >>> labels.values, labels.codes.tolist()
        (('cat', 'dog'), [1, 0, 1])
    """

    codes: npt.NDArray[np.int64]
    values: tuple[Value, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, labels: Any, names: Sequence[str] = ()) -> "ClassLabels":
        """Return the classes of S labels.

        Args:
            labels: One label for each sample: a list, a NumPy array, a torch tensor, a pandas Series or
                Categorical, or a pyarrow column.
            names: Names of the classes that whole numbers from 0 stand for; by default a class is named by
                its label.

        Raises:
            DataError: Labels are missing, are no classes, or are outside the names; the message has the row.
        """
        values = plain_labels(labels)
        _check_classes(values, names)
        distinct = set(values)
        name_of = {value: names[int(value)] if names else str(value) for value in distinct}
        by_number = not names and not any(isinstance(value, str) for value in distinct)
        ordered = sorted(distinct, key=None if by_number else lambda value: natural_key(name_of[value]))
        _check_names(ordered, name_of)
        code = {value: number for number, value in enumerate(ordered)}
        codes = np.array([code[value] for value in values], dtype=np.int64)
        return cls(codes, tuple(ordered), tuple(name_of[value] for value in ordered))

    @property
    def other_values(self) -> tuple[Value, ...]:
        """The label of each class, or nothing if each is the name of its class."""
        return () if self.values == self.names else self.values

    def __len__(self) -> int:
        return len(self.codes)


def plain_labels(labels: Any, name: str = "labels") -> list[Any]:
    """Return labels of any container as a list of texts, numbers, booleans and `None` for missing labels.

    Whole numbers in floats, as in `3.0`, become whole numbers. Labels of shape (S, 1) lose their second axis.

    Args:
        labels: The labels.
        name: Name of the labels in messages.

    Raises:
        DataError: The labels have a second axis, no order or no length, or a label is no single value.

    Example:
        >>> plain_labels(np.array([2.0, -1.0])), plain_labels([True, None])
        ([2, -1], [True, None])
    """
    return [_plain(value, row, name) for row, value in enumerate(_listed(labels, name))]


def missing_rows(values: Sequence[Any]) -> list[int]:
    """Return the rows, from 0, whose label is missing: `None` or not a number.

    Example:
        >>> missing_rows(["a", None, float("nan")])
        [1, 2]
    """
    return [row for row, value in enumerate(values) if value is None or value != value]


def check_no_gap(values: Sequence[Any], place: str, content: str) -> None:
    """Check that no value of a column is missing.

    Args:
        values: The values.
        place: Name of the column in messages.
        content: Noun for one value in messages, e.g. `group`.

    Raises:
        DataError: A value is missing; the message has its row.
    """
    if rows := missing_rows(values):
        raise DataError(f"{place}: {_rows(rows)} no {content}; allowed: a {content} in each row")


def all_missing(values: Sequence[Any]) -> bool:
    """Return True if no sample of a part has a label: all are `None`, or all are -1.

    Example:
        >>> all_missing([-1, -1]), all_missing([None, 1])
        (True, False)
    """
    return bool(values) and (len(missing_rows(values)) == len(values) or set(values) == {MISSING})


def _listed(labels: Any, name: str) -> Iterable[Any]:
    if hasattr(labels, "to_pylist"):
        return list(labels.to_pylist())
    if hasattr(labels, "to_list"):  # pandas, whose index may be of its own
        return list(labels.to_list())
    if hasattr(labels, "toarray"):
        raise DataError(f"{name}: found a sparse {type(labels).__name__}; allowed: one label for each sample")
    if any(hasattr(labels, each) for each in ("detach", "to_numpy", "dtype")):
        return _rows_of(labels if isinstance(labels, np.ndarray) else as_array(labels), name)
    if isinstance(labels, str | bytes | Set | Mapping) or not hasattr(labels, "__len__"):
        raise DataError(f"{name}: found {type_of(labels)}; allowed: one label for each sample")
    return list(labels)


def _rows_of(array: npt.NDArray[Any], name: str) -> list[Any]:
    if array.dtype.kind in "mM":
        raise DataError(f"{name}: found dates ({array.dtype}); allowed: texts, whole numbers or booleans")
    if array.ndim == 0:
        raise DataError(f"{name}: found shape (); allowed: one label for each sample")
    if array.shape[1:] != (1,) * (array.ndim - 1):
        raise DataError(
            f"{name}: found shape {array.shape}; allowed: ({array.shape[0]},), one label for each sample"
            " (the position of the 1 in a row of 0 and 1 is `y.argmax(1)`)"
        )
    return list(array.reshape(-1).tolist())


def _plain(value: Any, row: int, name: str) -> Any:
    """Return a label as a text, a number, a boolean or `None`, or as the object that it is.

    Raises:
        DataError: The label is an array or list, or bytes that are no text.
    """
    if isinstance(value, list) or (getattr(value, "ndim", None) and math.prod(value.shape) != 1):
        count = len(value)
        raise DataError(f"{name}: found {type_of(value)} of {count} in row {row}; allowed: one label")
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, str):
        return str.__str__(value)  # without the type of NumPy or of an enumeration
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{name}: found bytes in row {row} that are no UTF-8: {value!r}") from error
    if is_missing(value):
        return None
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() else value
    return value


def _check_classes(values: Sequence[Any], names: Sequence[str]) -> None:
    missing = missing_rows(values)
    if missing:
        raise DataError(f"labels: {_rows(missing)} no label; give each sample a label, or leave it out")
    for row, value in enumerate(values):
        if isinstance(value, float):
            raise DataError(
                f"labels: found {value:g} in row {row}; allowed: classes (texts, whole numbers or booleans), "
                "not measured values"
            )
        if not isinstance(value, str | int):
            raise DataError(
                f"labels: found {type_of(value)} in row {row}; allowed: texts, whole numbers or booleans"
            )
        if names and not (isinstance(value, int) and 0 <= value < len(names)):
            raise DataError(
                f"labels: found {value!r} in row {row}; allowed with {len(names)} names of classes: 0 to "
                f"{len(names) - 1}"
            )
    kinds = sorted({_kind(value) for value in values}, reverse=True)
    if len(kinds) > 1:
        raise DataError(f"labels: found {' and '.join(kinds)}; allowed: labels of one kind")


def _kind(value: Value) -> str:
    return "texts" if isinstance(value, str) else "booleans" if isinstance(value, bool) else "numbers"


def _check_names(ordered: Sequence[Any], name_of: dict[Any, str]) -> None:
    by_name: dict[str, Any] = {}
    for value in ordered:
        name = re.sub(r"\s+", " ", name_of[value]).strip()
        if not name:
            raise DataError("labels: found an empty label; give the class a name")
        if name in by_name:
            raise DataError(f"labels: {by_name[name]!r} and {value!r} have the same name, '{name}'")
        by_name[name] = value


def _rows(rows: Sequence[int]) -> str:
    """Return text such as `row 3 has` or `4 rows, the first of them 3, have`."""
    return f"row {rows[0]} has" if len(rows) == 1 else f"{len(rows):,} rows, the first is row {rows[0]}, have"
