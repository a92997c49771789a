"""The preset `auto` for series: settings that follow from their number and length."""

from dataclasses import asdict
from typing import Any

import numpy as np

from edanas.core.settings import SplitSettings
from edanas.core.types import Survey
from edanas.data.auto_preset import part_sizes

SHORTEST = 4
"""Smallest length at which networks read series."""

HALVED = 32
"""Largest length that is not halved."""

ENOUGH, MOST_COPIES = 400, 15
"""Number of validation series at which they need no copies, and the largest number of copies of each."""


def copies_for(samples: int) -> int:
    """Return the number of augmented copies that each validation sample needs.

    Many networks classify all of 25 samples correctly, and the cheapest of them would win by chance.

    Args:
        samples: Number of samples in the validation part.

    Example:
        >>> copies_for(25), copies_for(150), copies_for(1000)
        (15, 2, 0)
    """
    return min(MOST_COPIES, -(-ENOUGH // max(1, samples)) - 1) if samples < ENOUGH else 0


def series_settings(surveyed: Survey, split: SplitSettings, *, only_lengths: bool = False) -> dict[str, Any]:
    """Return the settings for series, by their dotted names.

    - Lengths: half of the length of the longest series, and all of it; series of up to 32 values are not
      halved.
    - Masks are used if series differ in length.
    - Batch size: a tenth of the number of training series, rounded to a power of two, from 16 to 128. The
      learning rate is proportional to its square root.
    - The validation and calibration parts get augmented copies if they have fewer than 400 series.
    - Epochs: 2,500 divided by the square root of the number of training series, limited to 20 to 250.

    Args:
        surveyed: The survey of the data.
        split: The shares of the four parts.
        only_lengths: True for the parts, lengths, masks and batch sizes alone, as for presets other than
            `auto`.

    Example:
        >>> epilepsy = Survey(275, 137, frozenset({"test"}), 4, 30, 39, side=206, grey=True, length=206)
        >>> settings = series_settings(epilepsy, SplitSettings(0.5, 0.15, 0.15, 0.2))
        >>> settings["supernet.resolutions"], settings["training.batch_size"], settings["training.epochs"]
        ([103, 206], 16, 250)
    """
    train, length = part_sizes(surveyed, split)["train"], surveyed.length
    batch = int(2 ** np.clip(round(np.log2(max(1, train / 10))), 4, 7))
    epochs = int(np.clip(round(2500 / train**0.5), 20, 250))
    rate = 0.004 * (batch / 32) ** 0.5
    lengths = {max(SHORTEST, length)} | ({-(-length // 2)} if length > HALVED else set())
    settings = {
        "split": asdict(split),
        "supernet.resolutions": sorted(lengths),
        "supernet.masked": surveyed.padded,
        "training.batch_size": batch,
        "finetune.batch_size": batch,
        "validation_copies": copies_for(part_sizes(surveyed, split).get("validation", ENOUGH)),
    }
    if only_lengths:
        return settings
    return settings | {
        "training.learning_rate": round(rate, 5),
        "training.epochs": epochs,
        "finetune.learning_rate": round(rate * 0.75, 5),
        "finetune.epochs": max(2, epochs // 2),
        "recalibration": int(np.clip(train, 2, 2000)),
    }
