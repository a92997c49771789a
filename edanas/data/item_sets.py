"""Samples and labels out of data sets that return one item at a time: torch's, and those of `datasets`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import ConfigError, DataError, near_miss, type_of
from edanas.data.class_labels import plain_labels
from edanas.data.joined_parts import PartSamples
from edanas.data.named_arrays import LABEL_NAMES, SAMPLE_NAMES
from edanas.data.plain_arrays import as_array
from edanas.data.sample_arrays import spooled


def is_item_set(data: Any) -> bool:
    """Return True for an object with items by number, or with an iterator, that is no array or container.

    Example:
        >>> is_item_set([1, 2]), is_item_set(np.zeros(3))
        (False, False)
    """
    if isinstance(data, str | bytes | Mapping | Sequence | np.ndarray) or hasattr(data, "detach"):
        return False
    return (hasattr(data, "__getitem__") and hasattr(data, "__len__")) or hasattr(data, "__iter__")


def is_column_set(data: Any) -> bool:
    """Return True for a `datasets.Dataset`, whose items are rows with named columns."""
    return hasattr(data, "column_names") and hasattr(data, "features")


def part_of_items(data: Any, part: str = "") -> tuple[PartSamples, tuple[str, ...]]:
    """Return the samples of a torch data set of pairs (sample, label), and the names of its classes.

    Each item is read once; the first item is read twice, to recognise random transforms.

    Args:
        data: A `torch.utils.data.Dataset`, or an iterable of pairs.
        part: Name of the part; empty if the split chooses the part.

    Raises:
        DataError: An item is no pair, or the data set returns another sample each time.

    Example:
        >>> class Shades:
        ...     def __len__(self):
        ...         return 4
        ...     def __getitem__(self, number):
        ...         return np.full((1, 4, 4), number, dtype=np.uint8), number % 2
        >>> part_of_items(Shades())[0].labels
        [0, 1, 0, 1]
    """
    labels: list[Any] = []

    def arrays() -> Iterator[npt.NDArray[Any]]:
        for number, item in enumerate(_items(data)):
            sample, label = _pair(item, number)
            labels.append(label)
            yield as_array(sample)

    _check_repeatable(data)
    samples = spooled(arrays())
    plain = plain_labels(labels)
    return PartSamples(part, samples, plain), _class_names(data, plain)


def part_of_columns(data: Any, part: str = "", group: str = "") -> tuple[PartSamples, tuple[str, ...]]:
    """Return the samples of a `datasets.Dataset`, and the names of its classes; columns have usual names.

    Args:
        data: The data set.
        part: Name of the part; empty if the split chooses the part.
        group: Name of the column of groups; empty = no groups.

    Raises:
        ConfigError: There is no column of groups of that name.
        DataError: There is no column of samples or of labels.
    """
    columns = list(data.column_names)
    if group and group not in columns:
        raise ConfigError(f"data.group: found no column '{group}'.{near_miss(group, columns)}")
    images, labels = _column(data, "samples", SAMPLE_NAMES), _column(data, "labels", LABEL_NAMES)
    if type(data.features[images]).__name__ == "Audio":
        raise DataError(
            f"data: found sound in the column '{images}'; allowed: files of recordings in a folder or in a "
            "table of paths and labels, or arrays with data.front_end and data.rate"
        )
    samples = spooled(as_array(row[images]) for row in data.select_columns([images]).with_format(None))
    groups = plain_labels(list(data[group]), "groups") if group else ()
    names = tuple(map(str, getattr(data.features[labels], "names", None) or ()))
    return PartSamples(part, samples, plain_labels(list(data[labels])), groups), names


def _column(data: Any, role: str, usual: Sequence[str]) -> str:
    """Return the name of the column of samples or labels: by its type, or else by its name."""
    kinds = ("Image", "Array2D", "Array3D", "Audio") if role == "samples" else ("ClassLabel",)
    by_type = [name for name, feature in data.features.items() if type(feature).__name__ in kinds]
    by_name = [name for name in data.column_names if name.lower() in usual]
    for names in (by_type, by_name):
        if len(names) == 1:
            return str(names[0])
    raise DataError(
        f"data: found the columns {', '.join(data.column_names)}, none or several of which may hold {role}; "
        f"allowed: one column named {', '.join(usual[:3])} (`rename_column` renames it)"
    )


def _items(data: Any) -> Iterator[Any]:
    if hasattr(data, "batch_size") and hasattr(data, "dataset"):
        raise DataError(
            f"data: found {type_of(data)}, which returns batches; allowed: its data set, `.dataset`"
        )
    if hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        return (_item(data, number) for number in range(len(data)))
    return (item for item in data)


def _item(data: Any, number: int) -> Any:
    try:
        return data[number]
    except Exception as error:  # code of the user
        raise DataError(
            f"data: item {number} of {len(data)} cannot be read: {type(error).__name__}: {error}"
        ) from error


def _pair(item: Any, number: int) -> tuple[Any, Any]:
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    if isinstance(item, Mapping):
        by_role = [
            [key for key in item if str(key).lower() in usual] for usual in (SAMPLE_NAMES, LABEL_NAMES)
        ]
        if all(len(keys) == 1 for keys in by_role):
            return item[by_role[0][0]], item[by_role[1][0]]
    shape = f" of {len(item)}" if hasattr(item, "__len__") and not isinstance(item, str) else ""
    raise DataError(
        f"data: item {number} is {type_of(item)}{shape}; allowed: a pair (sample, label), or a "
        "dictionary with `image` and `label`"
    )


def _check_repeatable(data: Any) -> None:
    if not hasattr(data, "__len__") or not hasattr(data, "__getitem__") or not len(data):
        return
    one, other = (as_array(_pair(_item(data, 0), 0)[0]) for _ in range(2))
    if one.shape != other.shape or not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
        raise DataError(
            "data: item 0 is another sample each time it is read; remove random transforms, since `training."
            "augment` names the augmentation of a run"
        )


def _class_names(data: Any, labels: Sequence[Any]) -> tuple[str, ...]:
    """Return the names in the attribute `classes` of a data set or of the one it is a subset of."""
    while not hasattr(data, "classes") and hasattr(data, "dataset"):
        data = data.dataset
    names = getattr(data, "classes", None)
    is_numbered = all(isinstance(label, int) and 0 <= label < len(names or ()) for label in labels)
    if not isinstance(names, list | tuple) or not is_numbered:
        return ()
    return tuple(map(str, names))
