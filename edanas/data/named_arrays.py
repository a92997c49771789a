"""Samples, labels, parts and groups by their usual names, as in `.npz` files and dictionaries of arrays."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from edanas.core.errors import ConfigError, DataError, near_miss
from edanas.data.class_labels import plain_labels
from edanas.data.joined_parts import PartSamples, join_parts
from edanas.data.part_names import WORDS, part_of
from edanas.data.sample_arrays import samples_of
from edanas.data.sample_set import SampleSet

SAMPLE_NAMES = (
    "x",
    "data",
    "images",
    "image",
    "img",
    "imgs",
    "samples",
    "features",
    "inputs",
    "series",
    "arr",
)
LABEL_NAMES = ("y", "labels", "label", "targets", "target", "class", "category")
CLASS_NAMES = ("classes", "class_names", "target_names", "label_names", "names", "categories")
PART_NAMES = ("part", "parts", "split", "splits", "subset")
GROUP_NAMES = ("group", "groups")


def set_of_arrays(arrays: Mapping[str, Any], group: str = "", place: str = "data") -> SampleSet:
    """Return the sample set in a mapping from names to arrays.

    Names are compared without case. Samples are named `x`, `data` or `images`, labels `y`, `labels` or
    `target`; a word for a part may stand before or after the name, as in `x_train` and `test_labels`.
    An array named `part` assigns samples to parts, `classes` names the classes, and `groups` the groups.

    Args:
        arrays: Name -> array.
        group: Name of the array of groups; empty for the array `groups`, if there is one.
        place: Name of the file or argument in messages.

    Raises:
        ConfigError: There is no array of groups of that name.
        DataError: Samples or labels have no usual name, or differ in length.

    Example:
        >>> import numpy as np
        >>> digits = {"x_train": np.zeros((4, 8, 8), np.uint8), "y_train": [0, 1, 0, 1]}
        >>> set_of_arrays(digits).parts.tolist()
        ['train', 'train', 'train', 'train']
    """
    roles = {name: role_of(name, group) for name in arrays}
    if group and "groups" not in {role for _, role in roles.values()}:
        raise ConfigError(f"data.group: {place} has no array '{group}'.{near_miss(group, list(arrays))}")
    parts: dict[str, dict[str, str]] = {}
    for name, (part, role) in roles.items():
        if role and role != "classes":
            if role in parts.setdefault(part, {}):
                raise DataError(
                    f"{place}: both '{parts[part][role]}' and '{name}' may hold the {role}; rename one"
                )
            parts[part][role] = name
    _check_roles(parts, arrays, place)
    names = next((arrays[name] for name, (_, role) in roles.items() if role == "classes"), ())
    sets = []
    for part, by_role in parts.items():
        rows = {role: arrays[name] for role, name in by_role.items()}
        sets.append(_part(part, rows, by_role, place))
    return join_parts(sets, [str(each) for each in plain_labels(names)] if len(names) else ())


def _part(part: str, rows: Mapping[str, Any], names: Mapping[str, str], place: str) -> PartSamples:
    name = names["samples"]
    samples = samples_of(rows["samples"], name if place == "data" else f"{place}: {name}")
    columns = {role: plain_labels(values, role) for role, values in rows.items() if role != "samples"}
    for role, values in columns.items():
        if len(values) != len(samples):
            raise DataError(
                f"{place}: '{names['samples']}' has {len(samples):,} samples and '{names[role]}' has "
                f"{len(values):,} {role}; the two numbers must be equal"
            )
    return PartSamples(part, samples, columns["labels"], columns.get("groups", ()), columns.get("parts", ()))


def role_of(name: str, group: str = "") -> tuple[str, str]:
    """Return the part and the role of an array by its name; the role is empty if the name is not usual.

    Args:
        name: Name of the array.
        group: Name of the array of groups; empty for the usual names.

    Example:
        >>> role_of("X_test"), role_of("labels"), role_of("arr_0")
        (('test', 'samples'), ('', 'labels'), ('', 'samples'))
    """
    if group and name == group:
        return "", "groups"
    words = [word for word in re.split(r"[\W_]+", name.lower()) if word]
    part_words = [word for word in words if word in WORDS]
    rest = "_".join(word for word in words if word not in WORDS)
    part = str(part_of(part_words[0])) if len(part_words) == 1 else ""
    if group and rest == group.lower():
        return part, "groups"
    usual = {
        "samples": SAMPLE_NAMES,
        "labels": LABEL_NAMES,
        "classes": CLASS_NAMES,
        "parts": PART_NAMES,
        "groups": GROUP_NAMES,
    }
    bare = re.sub(r"_?\d+$", "", rest)
    return part, next((role for role, names in usual.items() if rest in names or bare in names), "")


def _check_roles(parts: Mapping[str, Mapping[str, str]], arrays: Mapping[str, Any], place: str) -> None:
    listed = ", ".join(f"'{name}' {_form(values)}" for name, values in arrays.items()) or "nothing"
    for part, by_role in parts.items() or [("", {})]:
        for role, usual in (("samples", _shown(SAMPLE_NAMES)), ("labels", _shown(LABEL_NAMES))):
            if role not in by_role:
                of_part = f" of the {part} part" if part else ""
                raise DataError(f"{place}: no array of {role}{of_part}; found {listed}; allowed: {usual}")


def _form(values: Any) -> str:
    return str(tuple(values.shape)) if hasattr(values, "shape") else f"({type(values).__name__})"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + " (also with a part: x_train)"
