"""The preset `auto`: settings that suit a folder of images, from a survey of its files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edanas.core.settings import Settings, SplitSettings
from edanas.data.decoding import look
from edanas.data.folder import find_images
from edanas.data.splits import PARTS

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


SMALLEST, LARGEST = 16, 64
"""Least and largest side in pixels of what networks read, whatever the images are."""

MEMORY = 4 * 2**30
"""Bytes that all images together may take once they are read; as many again while they are divided."""

FEW = 100
"""Calibration or validation images below which what follows from them is luck."""

UNEVEN = 10
"""How many times more images one class may have than another before it is said."""


def shares(images: int) -> SplitSettings:
    """How to divide so many images.

    A tenth each is for calibration and validation and a fifth for the test. Below a thousand images it is
    100 each for calibration and validation, though no more than 15%; above 100,000 it is 10,000 each, and
    twice that for the test, since further ones make nothing surer.
    """
    held = min(0.15, max(FEW / images, min(0.1, 10_000 / images)))
    held = round(held, 4)
    test = round(min(0.2, 2 * held), 4)
    return SplitSettings(round(1 - 2 * held - test, 4), held, held, test)


def divided(of: Survey, split: SplitSettings) -> dict[str, int]:
    """About how many images each part that the split draws will have."""
    drawn = {part: getattr(split, part) for part in PARTS if part not in of.apart}
    return {part: max(1, round(of.drawn * share / sum(drawn.values()))) for part, share in drawn.items()}


def side_for(of: Survey) -> int:
    """Side in pixels at which the images are kept: see `suited`."""
    wanted = int(np.clip(-(-of.side // 8) * 8, SMALLEST, LARGEST))
    room = (MEMORY / (of.images * _channels(of))) ** 0.5
    return max(SMALLEST, min(wanted, int(room // 8) * 8))


def suited(of: Survey, split: SplitSettings) -> dict[str, Any]:
    """What to set for such a folder, in the form of a settings layer.

    - Resolution: the images' side to the next multiple of 8, from 16 to 64, and three quarters of it. Where
      all images together would take more than 4 GiB, the largest multiple of 8 at which they do not. Another
      supernet than the bundle's reads them as its own options say, whatever they take.
    - Strides: features of the last stages are about 4 pixels wide, and nowhere below 2. Up to 40 pixels the
      stem keeps the size.
    - The last exit is wider from 100 classes on.
    - Batch: a hundredth of the train part as a power of two, from 16 (32 where there are more than 8 classes)
      to 128; the rate goes with its root.
    - Epochs: 5,000 by the root of the train images, from 5 to 200. That is 158 for 1,000 images, and 25 for
      the 40,000 of CIFAR-10, on which this length was measured. Results are tuned for a tenth of it.
    - Augmentation: grey images are turned a little and never mirrored, for they may be characters; colour
      photographs are mirrored, and parts of them erased.

    Args:
        of: What the folder holds.
        split: How it will be divided.
    """
    side, count = side_for(of), divided(of, split)["train"]
    batch = int(2 ** np.clip(round(np.log2(max(1, count / 100))), 4 if of.classes <= 8 else 5, 7))
    epochs = int(np.clip(round(5000 / count**0.5), 5, 200))
    augment = ["shift", "rotate"] if of.grey else ["shift", "flip", "erase"]
    rate = 0.003 * (batch / 128) ** 0.5
    many = of.classes >= 100
    return {
        "split": asdict(split),
        "supernet.resolutions": sorted({max(SMALLEST, round(0.75 * side / 8) * 8), side}),
        "supernet.stem_stride": 1 if side <= 40 else 2,
        "supernet.stage_strides": [2, 2, 1, 1, 1] if side <= 20 else [2, 2, 1, 2, 1],
        "supernet.final_expand": 960 if many else 480,
        "supernet.last_width": 1280 if many else 0,
        "training.batch_size": batch,
        "training.learning_rate": round(rate, 5),
        "training.epochs": epochs,
        "training.augment": augment,
        "finetune.batch_size": batch,
        "finetune.learning_rate": round(rate / 6, 5),
        "finetune.epochs": max(2, round(epochs / 10)),
        "finetune.augment": augment,
        "recalibration": int(np.clip(count, 2, 2000)),
    }


def in_words(of: Survey, settings: Settings, sides: Sequence[int]) -> list[str]:
    """What was chosen and why, and what to be wary of, a sentence or two each.

    Args:
        of: What the folder holds.
        settings: Of the run, in which the user may have changed what was chosen.
        sides: In pixels, at which the supernet's networks read the images, one or more.
    """
    parts, colour = divided(of, settings.split), "grey" if of.grey else "colour"
    told = [
        f"{of.images:,} {colour} images in {of.classes:,} classes, {of.side} px: read at "
        f"{' and '.join(str(each) for each in sides)} px; {parts['train']:,} of them train the supernet, "
        f"{settings.training.epochs} epochs in batches of {settings.training.batch_size}, and each result "
        f"{settings.finetune.epochs} epochs."
    ]
    gigabytes = of.images * _channels(of) * max(sides) ** 2 / 1e9
    if gigabytes >= 1:
        told.append(f"All images are kept in memory: about {gigabytes:.1f} GB, twice as much at the start.")
    if any(parts.get(part, FEW) < FEW for part in ("calibration", "validation")):
        counts = " and ".join(
            f"{parts[part]} {part}" for part in ("calibration", "validation") if part in parts
        )
        told.append(f"{counts} images are few: what is chosen, and where images leave, is partly luck.")
    if of.most > UNEVEN * of.fewest:
        told.append(
            f"Classes are out of balance, {of.fewest:,} to {of.most:,} images: accuracy says little "
            "about the rare ones."
        )
    return told


def _channels(of: Survey) -> int:
    return 1 if of.grey else 3
