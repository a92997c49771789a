"""A look at a folder of images before anything is read whole: how many, of what, how large."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edanas.data.decoding import look
from edanas.data.folder import find_images

_LOOKED_AT = 64
"""Files that are opened, at equal distances."""


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    Args:
        images: How many, in all parts.
        drawn: How many of them the split divides: all but those in a `val/` or `test/`.
        apart: The parts that the folder itself sets apart.
        classes: How many.
        fewest: Images of the rarest class that the split divides.
        most: Images of the commonest.
        side: Of the images looked at, the median of the shorter sides in pixels.
        grey: Whether all of them are, in whatever mode they are kept.
    """

    images: int
    drawn: int
    apart: frozenset[str]
    classes: int
    fewest: int
    most: int
    side: int
    grey: bool


def survey(folder: Path) -> Survey:
    """Look at the names of all files, and into some.

    Raises:
        DataError: It is no folder of class folders, or the images looked at cannot be read.
    """
    found = find_images(folder)
    at = np.linspace(0, len(found.files) - 1, min(_LOOKED_AT, len(found.files))).round().astype(int)
    seen = [look(found.files[i]) for i in at]
    apart = frozenset(found.parts) - {"", "train"}
    each = Counter(name for name, part in zip(found.classes, found.parts, strict=True) if part not in apart)
    return Survey(
        images=len(found.files),
        drawn=each.total(),
        apart=apart,
        classes=len(each),
        fewest=min(each.values()),
        most=max(each.values()),
        side=int(np.median([min(size) for size, _ in seen])),
        grey=all(grey for _, grey in seen),
    )
