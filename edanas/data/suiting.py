"""Settings that suit a folder of images nobody has said anything about: the preset `auto`."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edanas.core.errors import DataError
from edanas.data.folder import find_images

_LOOKED_AT = 64
"""Files whose headers are read, at equal distances."""

_COLOURLESS = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")

SMALLEST, LARGEST = 16, 64
"""Least and largest side in pixels of what networks read, whatever the images are."""

SEEN = 2_000_000
"""Images that pass through the supernet in training, where that is neither few nor many epochs."""


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    Args:
        images: How many to train, judge and test on.
        classes: How many.
        side: Of the images looked at, the median of the shorter sides in pixels.
        grey: Whether all of them are.
    """

    images: int
    classes: int
    side: int
    grey: bool


def survey(folder: Path) -> Survey:
    """Look at the names of all files, and at the headers of some.

    Raises:
        DataError: It is no folder of class folders, or the images looked at cannot be read.
    """
    found = find_images(folder)
    at = np.linspace(0, len(found.files) - 1, min(_LOOKED_AT, len(found.files))).round().astype(int)
    sides, modes = [], Counter[str]()
    for path in (found.files[i] for i in at):
        try:
            with Image.open(path) as image:
                sides.append(min(image.size))
                modes[image.mode] += 1
        except Exception as error:
            raise DataError(f"{path}: cannot be read as an image ({type(error).__name__})") from error
    grey = all(mode in _COLOURLESS for mode in modes)
    return Survey(len(found.files), len(set(found.classes)), int(np.median(sides)), grey)


def suited(of: Survey, train: float) -> dict[str, Any]:
    """What to set for such a folder, in the form of a settings layer.

    - Resolution: the images' side to the next multiple of 8, from 16 to 64, and three quarters of it.
    - Strides: features of the last stages are about 4 pixels wide, and nowhere below 2. Up to 40 pixels the
      stem keeps the size.
    - The last exit is wider from 100 classes on.
    - Batch: a hundredth of the train part as a power of two, from 16 to 128; the rate goes with its root.
    - Epochs: as many as show two million images, from 5 to 200; results are tuned for a tenth of that.
    - Augmentation: grey images are turned a little and never mirrored, for they may be characters; colour
      photographs are mirrored, and parts of them erased.

    Args:
        of: What the folder holds.
        train: Share of the images that is trained on.
    """
    side = int(np.clip(-(-of.side // 8) * 8, SMALLEST, LARGEST))
    count = max(1, round(of.images * train))
    batch = int(2 ** np.clip(round(np.log2(max(1, count / 100))), 4, 7))
    epochs = int(np.clip(round(SEEN / count), 5, 200))
    augment = ["shift", "rotate"] if of.grey else ["shift", "flip", "erase"]
    rate = 0.003 * (batch / 128) ** 0.5
    many = of.classes >= 100
    return {
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
        "finetune.epochs": max(2, epochs // 10),
        "finetune.augment": augment,
        "recalibration": int(np.clip(count, 2, 2000)),
    }
