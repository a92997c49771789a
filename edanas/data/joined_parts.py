"""Union of the samples of several parts, with checks of their labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import DataError
from edanas.data.class_labels import ClassLabels, all_missing, check_no_gap
from edanas.data.part_names import part_of
from edanas.data.sample_arrays import are_one_kind
from edanas.data.sample_set import EqualSamples, Samples, SampleSet, UnequalSamples


@dataclass(frozen=True)
class PartSamples:
    """The samples of one part with their labels.

    Args:
        part: Name of the part; empty if the split chooses the part.
        samples: The samples.
        labels: Plain label of each sample; see `edanas.data.class_labels.plain_labels`.
        groups: Plain group of each sample; empty = no groups.
        parts: Part of each sample by any usual name, if it is not `part`; empty = all are in `part`.
        names: Name of each sample for messages; empty = no names.
    """

    part: str
    samples: Samples
    labels: Sequence[Any]
    groups: Sequence[Any] = ()
    parts: Sequence[Any] = ()
    names: Sequence[str] = field(default=())


def join_parts(sets: Sequence[PartSamples], class_names: Sequence[str] = ()) -> SampleSet:
    """Return the samples of all parts as one set.

    Args:
        sets: The parts, one or more.
        class_names: Names of the classes that whole numbers from 0 stand for; empty = labels are names.

    Raises:
        DataError: The labels of a part are missing, a part has a class that training lacks, or the parts'
            samples differ in their axes or type.

    Example:
        >>> from edanas.data.sample_set import EqualSamples
        >>> images = EqualSamples(np.zeros((2, 8, 8), dtype=np.uint8))
        >>> sets = [PartSamples("train", images, [3, 7]), PartSamples("test", images, [7, 3])]
        >>> join_parts(sets).labels.codes.tolist()
        [0, 1, 1, 0]
    """
    named = [part for each in sets for part in _parts_of(each)]
    values = [value for each in sets for value in each.labels]
    check_part_labels(named, values)
    for each in sets:
        check_no_gap(each.groups, f"groups of the {each.part} part" if each.part else "groups", "group")
    groups = [str(group) for each in sets for group in each.groups]
    if groups and len(groups) != len(named):
        raise DataError(
            f"groups: found {len(groups):,} for {len(named):,} samples; allowed: one for each sample"
        )
    return SampleSet(
        _joined([each.samples for each in sets]),
        ClassLabels.of(values, class_names),
        np.array(named, dtype=np.str_),
        tuple(groups),
        tuple(name for each in sets for name in each.names),
    )


def check_part_labels(parts: Sequence[str], values: Sequence[Any]) -> None:
    """Check that the labels of no part are missing, and that training has every class of the other parts.

    Args:
        parts: Name of the part of each sample; empty if the split chooses the part.
        values: Plain label of each sample.

    Raises:
        DataError: The labels of a part are missing, or a part has a class that training lacks.
    """
    by_part: dict[str, list[Any]] = {}
    for part, value in zip(parts, values, strict=True):
        by_part.setdefault(part, []).append(value)
    for part, labels in by_part.items():
        if all_missing(labels) and (len(by_part) > 1 or labels[0] is None):
            kind = "-1" if labels[0] == -1 else "none"
            where = f"the {part} part" if part else "the data"
            raise DataError(
                f"labels: {where} has no labels ({kind} throughout); leave the part out, or label it"
            )
    pool = {value for part in ("", "train") for value in by_part.get(part, [])}
    for part in ("validation", "test"):
        unseen = sorted(
            {str(value) for value in by_part.get(part, []) if value not in pool and value is not None}
        )
        if unseen:
            raise DataError(
                f"labels: the {part} part has class {', '.join(map(repr, unseen[:3]))}, which the train part "
                "lacks; allowed: classes of the train part"
            )


def _parts_of(samples: PartSamples) -> list[str]:
    """Return the part of each sample.

    Raises:
        DataError: A name stands for no part.
    """
    if not len(samples.parts):
        return [samples.part] * len(samples.samples)
    known = {name: "" if name in (None, "") else part_of(str(name)) for name in dict.fromkeys(samples.parts)}
    for name, part in known.items():
        if part is None:
            raise DataError(f"parts: found '{name}'; allowed: train, validation, test or an empty name")
    return [str(known[name]) for name in samples.parts]


def _joined(parts: Sequence[Samples]) -> Samples:
    first = parts[0]
    for other in parts[1:]:
        if not are_one_kind(other.dtype, first.dtype) or len(other[0].shape) != len(first[0].shape):
            raise DataError(
                f"samples: one part has {first.dtype} of shape {first[0].shape}, and another has "
                f"{other.dtype} of shape {other[0].shape}; allowed: parts with samples of the same kind"
            )
    if len(parts) == 1:
        return first
    if len({part.dtype for part in parts}) > 1:
        common = np.result_type(*(part.dtype for part in parts))
        parts = [_converted(part, common) for part in parts]
        first = parts[0]
    if first.shape is not None and all(part.shape == first.shape for part in parts):
        return JoinedSamples(tuple(parts))
    values = np.concatenate([_values(part).reshape(-1) for part in parts])
    return UnequalSamples(values, np.concatenate([_shapes(part) for part in parts]))


@dataclass(frozen=True)
class JoinedSamples:
    """Samples of one shape in several containers, which are not copied.

    Args:
        parts: Containers of samples of one shape and type.

    Example:
        >>> from edanas.data.sample_set import EqualSamples
        >>> parts = EqualSamples(np.zeros((2, 4))), EqualSamples(np.ones((1, 4)))
        >>> JoinedSamples(parts)[2].tolist()
        [1.0, 1.0, 1.0, 1.0]
    """

    parts: tuple[Samples, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Samples.dtype`."""
        return self.parts[0].dtype

    @property
    def shape(self) -> tuple[int, ...] | None:
        """See `Samples.shape`."""
        return self.parts[0].shape

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)

    def pieces(self) -> Iterator[npt.NDArray[Any]]:
        """See `Samples.pieces`."""
        return (piece for part in self.parts for piece in part.pieces())


def _converted(samples: Samples, dtype: np.dtype[Any]) -> Samples:
    values = _values(samples).astype(dtype)
    return replace(samples, values=values) if isinstance(samples, UnequalSamples) else EqualSamples(values)


def _values(samples: Samples) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = samples.values  # type: ignore[attr-defined] # both kinds have them
    return values


def _shapes(samples: Samples) -> npt.NDArray[np.int64]:
    if isinstance(samples, UnequalSamples):
        return samples.shapes
    return np.tile(np.array(samples.shape, dtype=np.int64), (len(samples), 1))
