"""Images that occur more than once in a data set, by comparison of all pixels at the size of the run."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.mapped import pieces
from edanas.core.types import LoadedData

_NAMED = 5
"""Number of pairs that a message and `result.json` name."""

Pair = tuple[int, int]
"""Indices of two samples with equal pixels."""


def first_copies(images: torch.Tensor) -> npt.NDArray[np.int64]:
    """Return for each image the index of the first image with equal pixels, its own index if there is none.

    Args:
        images: Images (N, C, H, W), uint8.

    Example:
        >>> first_copies(torch.tensor([1, 2, 1], dtype=torch.uint8).view(3, 1, 1, 1)).tolist()
        [0, 1, 0]
    """
    first: dict[bytes, int] = {}
    rows = (row for piece in pieces(images) for row in piece.cpu().contiguous().flatten(1).numpy())
    digests = (hashlib.blake2b(row.data, digest_size=16).digest() for row in rows)
    indices = [first.setdefault(digest, number) for number, digest in enumerate(digests)]
    return np.array(indices, dtype=np.int64)


@dataclass(frozen=True)
class Duplicates:
    """Samples whose pixels are equal to those of a sample in another part, or of another class.

    A part here is one that the data set names; the parts that are drawn from the other samples count as
    `train`, since all copies of an image are drawn into one of them.

    Args:
        parts: A pair for each sample that is also in another part.
        classes: A pair for each sample that is also in another class.
        names: Name of each sample.

    Example:
        >>> Duplicates(parts=((0, 2),), classes=(), names=("a/1.png", "a/2.png", "test/a/1.png")).sentences()
        ('1 sample is in two parts at once, by its values, so accuracies on these parts are too high: \
a/1.png and test/a/1.png.',)
    """

    parts: tuple[Pair, ...]
    classes: tuple[Pair, ...]
    names: Sequence[str]

    def sentences(self) -> tuple[str, ...]:
        """Return a sentence for each kind of duplicates that occurs; each names at most five pairs."""
        kinds = (
            (self.parts, "two parts", "accuracies on these parts are too high"),
            (self.classes, "two classes", "some labels are wrong"),
        )
        return tuple(
            f"{_samples(len(pairs))} in {place} at once, by {'its' if len(pairs) == 1 else 'their'} values, "
            f"so {consequence}: {self._listed(pairs)}."
            for pairs, place, consequence in kinds
            if pairs
        )

    def to_json(self) -> dict[str, Any]:
        """Return the numbers of duplicates and the names of the first five pairs of each kind."""
        kinds = (("parts", self.parts), ("classes", self.classes))
        return {
            kind: {
                "count": len(pairs),
                "first": [[self.names[one], self.names[other]] for one, other in pairs[:_NAMED]],
            }
            for kind, pairs in kinds
        }

    def _listed(self, pairs: Sequence[Pair]) -> str:
        named = [f"{self.names[one]} and {self.names[other]}" for one, other in pairs[:_NAMED]]
        more = [f"and {len(pairs) - _NAMED:,} more"] if len(pairs) > _NAMED else []
        return "; ".join([*named, *more])


def find_duplicates(data: LoadedData) -> Duplicates:
    """Return the samples of a data set that are also in another part or in another class.

    Args:
        data: The data set, before its split.

    Example:
        >>> from edanas.core.types import ImageSet
        >>> images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
        >>> samples = ImageSet(images, torch.tensor([0, 1]), ("a", "b"))
        >>> find_duplicates(LoadedData(samples, np.array(["", ""]))).sentences()
        ('1 sample is in two classes at once, by its values, so some labels are wrong: sample 1 and \
sample 2.',)
    """
    first = first_copies(data.samples.images)
    names = data.names or [f"sample {number}" for number in range(1, len(first) + 1)]
    parts = np.where(data.parts == "", "train", data.parts)
    labels = data.samples.labels.numpy()
    members: dict[int, list[int]] = {}
    for sample in np.flatnonzero(np.bincount(first, minlength=len(first))[first] > 1).tolist():
        members.setdefault(int(first[sample]), []).append(sample)

    def pairs(values: npt.NDArray[Any]) -> tuple[Pair, ...]:
        """Return a pair for each copy whose value differs from that of an earlier copy."""
        differing: list[Pair] = []
        for group in members.values():
            for place, sample in enumerate(group):
                other = next((each for each in group[:place] if values[each] != values[sample]), None)
                if other is not None:
                    differing.append((other, sample))
        return tuple(sorted(differing, key=lambda pair: pair[1]))

    return Duplicates(pairs(parts), pairs(labels), names)


def _samples(count: int) -> str:
    return "1 sample is" if count == 1 else f"{count:,} samples are"
