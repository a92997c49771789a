"""Labelled samples of any shape, as a user has them: arrays in memory or in a file, of equal shape or not."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edanas.data.class_labels import ClassLabels

CHUNK = 64 * 2**20
"""Largest number of bytes of samples that are processed together."""


class Samples(Protocol):
    """S arrays of numbers, one for each sample."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of all numbers."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of every sample; `None` if samples differ in shape."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> npt.NDArray[Any]: ...

    def pieces(self) -> Iterator[npt.NDArray[Any]]:
        """Yield all numbers in order, as arrays of at most about `CHUNK` bytes; their shape is free."""


@dataclass(frozen=True)
class EqualSamples:
    """Samples of one shape.

    Args:
        values: Array (S, ...), in memory or mapped from a file.

    Example:
        >>> samples = EqualSamples(np.zeros((3, 2, 8), dtype=np.float32))
        >>> len(samples), samples.shape
        (3, (2, 8))
    """

    values: npt.NDArray[Any]

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Samples.dtype`."""
        return self.values.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Samples.shape`."""
        return tuple(self.values.shape[1:])

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        sample: npt.NDArray[Any] = self.values[index]
        return sample

    def pieces(self) -> Iterator[npt.NDArray[Any]]:
        """See `Samples.pieces`; each piece is (n, ...)."""
        count = max(1, CHUNK // max(1, self.values[:1].nbytes))
        for start in range(0, len(self), count):
            yield self.values[start : start + count]


@dataclass(frozen=True)
class UnequalSamples:
    """Samples of one rank that differ in shape, e.g. images of several sizes or series (C, L_i).

    Args:
        values: All numbers of all samples, one after the other, (total,).
        shapes: Shape (S, R) int64 of each sample, of rank R.

    Example:
        >>> samples = UnequalSamples.of([np.zeros((1, 4)), np.ones((1, 2))])
        >>> samples[1].tolist(), samples.shape
        ([[1.0, 1.0]], None)
    """

    values: npt.NDArray[Any]
    shapes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, samples: Sequence[npt.NDArray[Any]]) -> "UnequalSamples":
        """Return samples in memory; they have one rank, and one type after NumPy's promotion."""
        dtype = np.result_type(*{sample.dtype for sample in samples})
        flat = [np.ravel(sample).astype(dtype, copy=False) for sample in samples]
        return cls(np.concatenate(flat), np.array([sample.shape for sample in samples], dtype=np.int64))

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Samples.dtype`."""
        return self.values.dtype

    @property
    def shape(self) -> None:
        """See `Samples.shape`."""
        return

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        start, end = self._ends[index], self._ends[index + 1]
        sample: npt.NDArray[Any] = self.values[start:end].reshape(self.shapes[index])
        return sample

    @property
    def _ends(self) -> npt.NDArray[np.int64]:
        ends = self.__dict__.get("_sums")
        if ends is None:
            ends = np.concatenate([[0], np.cumsum(self.shapes.prod(axis=1))])
            object.__setattr__(self, "_sums", ends)
        return ends

    def pieces(self) -> Iterator[npt.NDArray[Any]]:
        """See `Samples.pieces`; each piece is flat."""
        count = max(1, CHUNK // self.dtype.itemsize)
        for start in range(0, len(self.values), count):
            yield self.values[start : start + count]


@dataclass(frozen=True)
class SampleSet:
    """Labelled samples of any shape, before they become images or series at the size of a run.

    Args:
        samples: The samples as the user has them, in their own type of numbers.
        labels: The classes, and the class of each sample.
        parts: Part (S,) of each sample: `train`, `validation`, `test`, or `""` for the choice of the split.
        groups: Group of each sample, e.g. its speaker, which the split keeps on one side; empty = no groups.
        names: Name of each sample for messages; empty = samples are named by number.
        remarks: Sentences for the user about the reading.
        window_of: Number (S,) of the series that each sample is a window of; `None` = samples are whole.

    Example:
        >>> samples = SampleSet.of(EqualSamples(np.zeros((2, 1, 8, 8), dtype=np.uint8)), ["cat", "dog"])
        >>> samples.labels.names, samples.parts.tolist()
        (('cat', 'dog'), ['', ''])
    """

    samples: Samples
    labels: ClassLabels
    parts: npt.NDArray[np.str_]
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    window_of: npt.NDArray[np.int64] | None = None

    @classmethod
    def of(cls, samples: Samples, labels: Any, class_names: Sequence[str] = ()) -> "SampleSet":
        """Return samples without parts and groups; see `ClassLabels.of` for labels and names of classes."""
        return cls(samples, ClassLabels.of(labels, class_names), np.full(len(samples), "", dtype=np.str_))

    def __len__(self) -> int:
        return len(self.samples)

    def digest(self) -> str:
        """Return a digest of samples, labels, parts, groups and names: 16 hexadecimal digits of BLAKE2b."""
        digest = hashlib.blake2b(digest_size=8)
        digest.update(json.dumps([str(self.samples.dtype), self._shapes()]).encode())
        for piece in self.samples.pieces():
            digest.update(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
        digest.update(np.ascontiguousarray(self.labels.codes).data)
        rest = [self.labels.values, self.labels.names, self.parts.tolist(), self.groups, self.names]
        digest.update(json.dumps(rest).encode())
        return digest.hexdigest()

    def _shapes(self) -> list[Any]:
        samples = self.samples
        if isinstance(samples, UnequalSamples):
            return list(samples.shapes.tolist())
        return [len(samples), *(samples.shape or ())]
