"""The preset `auto` for series: settings that follow from their number and length."""

from dataclasses import asdict
from typing import Any

import numpy as np

from edanas.core.settings import SplitSettings

SHORTEST = 4
"""Smallest length at which networks read series."""


def series_settings(train: int, length: int, split: SplitSettings, *, padded: bool) -> dict[str, Any]:
    """Return the settings for series, by their dotted names.

    - Lengths: half of the length of the longest series, and all of it; series of up to 32 values are not
      halved.
    - Masks are used if series differ in length.
    - Batch size: a tenth of the number of training series, rounded to a power of two, from 16 to 128. The
      learning rate is proportional to its square root.
    - Epochs: 2,500 divided by the square root of the number of training series, limited to 20 to 250.

    Args:
        train: Number of training series.
        length: Length of the longest series.
        split: The shares of the four parts.
        padded: True if some series are shorter.

    Example:
        >>> settings = series_settings(96, 206, SplitSettings(0.7, 0.15, 0.15, 0.3), padded=False)
        >>> settings["supernet.resolutions"], settings["training.batch_size"], settings["training.epochs"]
        ([103, 206], 16, 250)
    """
    batch = int(2 ** np.clip(round(np.log2(max(1, train / 10))), 4, 7))
    epochs = int(np.clip(round(2500 / train**0.5), 20, 250))
    rate = 0.004 * (batch / 32) ** 0.5
    lengths = {max(SHORTEST, length)} | ({-(-length // 2)} if length > 32 else set())
    return {
        "split": asdict(split),
        "supernet.resolutions": sorted(lengths),
        "supernet.masked": padded,
        "training.batch_size": batch,
        "training.learning_rate": round(rate, 5),
        "training.epochs": epochs,
        "finetune.batch_size": batch,
        "finetune.learning_rate": round(rate * 0.75, 5),
        "finetune.epochs": max(2, epochs // 2),
        "recalibration": int(np.clip(train, 2, 2000)),
    }
