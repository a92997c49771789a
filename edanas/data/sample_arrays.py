"""Samples out of containers of arrays: NumPy and torch arrays, lists, object arrays, and iterables."""

import tempfile
from collections.abc import Iterable, Mapping
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import DataError, type_of
from edanas.core.machine import home
from edanas.core.mapped import released
from edanas.data.plain_arrays import as_array, is_number
from edanas.data.sample_set import EqualSamples, Samples, UnequalSamples


def samples_of(values: Any, name: str = "samples") -> Samples:
    """Return the samples of a container of N arrays.

    Args:
        values: An array (N, ...) of NumPy or torch, or a pandas table of numbers. A list or object array of
            N arrays or images may hold samples that differ in shape. The cells of a table may be series, with
            a column for each channel.
        name: Name of the container in messages.

    Raises:
        DataError: The values are no numbers, or differ in rank, or there are none.

    Example:
        >>> samples_of(np.zeros((4, 8, 8, 3))).shape
        (8, 8, 3)
        >>> samples_of([np.zeros((1, 4)), np.zeros((1, 6))]).shape is None
        True
    """
    if any(hasattr(values, each) for each in ("detach", "to_numpy", "toarray", "dtype")):
        array = as_array(values)
        if array.dtype != np.dtype(object):
            return _checked(array, name)
        values = list(array)
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise DataError(f"{name}: found {type_of(values)}; allowed: an array (N, ...) of numbers")
    return spooled((_sample(each, f"{name}: row {row}") for row, each in enumerate(values)), name)


def _sample(value: Any, name: str) -> npt.NDArray[Any]:
    """Return one sample; a row of a table whose cells are series becomes their channels (C, L)."""
    array = as_array(value)
    if array.dtype != np.dtype(object) or array.ndim != 1:
        return array
    channels = [as_array(each) for each in array.tolist() if len(getattr(each, "shape", ())) == 1]
    if len(channels) < len(array):
        return array
    lengths = sorted({len(each) for each in channels})
    if len(lengths) > 1:
        raise DataError(f"{name}: found channels of lengths {lengths}; allowed: channels of one length")
    return np.stack(channels)


def spooled(arrays: Iterable[npt.NDArray[Any]], name: str = "samples") -> Samples:
    """Write arrays one after the other to a temporary file, and return them as samples mapped from it.

    Args:
        arrays: One array for each sample; at most one is in memory.
        name: Name of the container in messages.

    Raises:
        DataError: The arrays differ in rank or type, or hold no numbers, or there are none.
    """
    folder = home() / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:  # a map of the file outlives the object
        types, shapes = _written(file, arrays, name)
        if len(set(types)) == 1:
            return _mapped(file, types[0], shapes)
        common = np.result_type(*types)
        with tempfile.TemporaryFile(dir=folder) as converted:
            file.seek(0)
            for dtype, shape in zip(types, shapes, strict=True):
                values = np.frombuffer(file.read(int(np.prod(shape)) * dtype.itemsize), dtype)
                converted.write(values.astype(common).data)
            return _mapped(converted, common, shapes)


def _written(
    file: IO[bytes], arrays: Iterable[npt.NDArray[Any]], name: str
) -> tuple[list[np.dtype[Any]], list[tuple[int, ...]]]:
    """Write arrays to a file; return type and shape of each. See `spooled`."""
    shapes: list[tuple[int, ...]] = []
    types: list[np.dtype[Any]] = []
    for row, array in enumerate(arrays):
        _check_type(array, f"{name}: row {row}")
        whole = array.ndim <= 2  # a row of a series may happen to have whole numbers
        if types and not are_one_kind(array.dtype, types[0], whole_numbers=whole):
            raise DataError(
                f"{name}: row {row} has numbers of type {array.dtype}, and row 0 of type {types[0]}; "
                "allowed: rows of one kind of numbers"
            )
        if shapes and array.ndim != len(shapes[0]):
            raise DataError(
                f"{name}: row {row} has shape {array.shape}, and row 0 has shape {shapes[0]}; allowed: "
                "samples with the same number of axes"
            )
        types.append(array.dtype)
        shapes.append(array.shape)
        file.write(np.ascontiguousarray(array).data)
    if not types:
        raise DataError(f"{name}: found none; allowed: one or more")
    return types, shapes


def are_one_kind(one: np.dtype[Any], other: np.dtype[Any], *, whole_numbers: bool = False) -> bool:
    """Return True if numbers of two types may be joined: both are floats, or both are integers.

    Bytes join bytes only, since they are pixels from 0 to 255, and other numbers may be pixels from 0 to 1.

    Args:
        one: A type.
        other: Another type.
        whole_numbers: True if integers may join floats.

    Example:
        >>> are_one_kind(np.dtype(np.float32), np.dtype(float)), are_one_kind(np.dtype(float), np.dtype(int))
        (True, False)
    """
    if one == other:
        return True
    is_float = one.kind == "f", other.kind == "f"
    return min(one.itemsize, other.itemsize) > 1 and (whole_numbers or is_float[0] == is_float[1])


def _mapped(file: IO[bytes], dtype: np.dtype[Any], shapes: list[tuple[int, ...]]) -> Samples:
    file.flush()
    total = sum(int(np.prod(shape)) for shape in shapes)
    values = released(np.memmap(file, dtype, "r", shape=(total,)))
    if len(set(shapes)) == 1:
        return EqualSamples(values.reshape(len(shapes), *shapes[0]))
    return UnequalSamples(values, np.array(shapes, dtype=np.int64))


def _checked(array: npt.NDArray[Any], name: str) -> Samples:
    _check_type(array, name)
    if array.ndim < 2 or not len(array):
        raise DataError(f"{name}: found shape {array.shape}; allowed: (N, ...), N samples, one or more")
    return EqualSamples(array)


def _check_type(array: npt.NDArray[Any], name: str) -> None:
    kinds = {"U": "text", "S": "text", "O": "objects", "c": "complex numbers", "M": "dates", "m": "durations"}
    if array.dtype == np.dtype(object):
        other = next((each for each in array.reshape(-1).tolist() if not is_number(each)), None)
        text = " ".join(repr(other).split())  # on one line
        raise DataError(f"{name}: found {text:.40} of type {type(other).__name__}; allowed: real numbers")
    if array.dtype.kind not in "biuf":
        kind = kinds.get(array.dtype.kind, "values")
        raise DataError(f"{name}: found {kind} (type {array.dtype}); allowed: real numbers")
    if 0 in array.shape[1:] or array.ndim == 0:
        raise DataError(f"{name}: found shape {array.shape}; allowed: samples with at least one number")
