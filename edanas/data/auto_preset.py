"""The preset `auto`: settings that are computed from the number, size and colour of a folder's images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edanas.core.errors import DataError
from edanas.core.settings import Settings, SplitSettings
from edanas.core.types import Survey
from edanas.data.decoding import decode, inspect_image
from edanas.data.splits import PARTS

SMALLEST, LARGEST = 4, 64
"""Smallest and largest side, in pixels, at which networks of `auto` read images."""

MEMORY = 4 * 2**30
"""Largest size of all decoded images together, in bytes; the split needs the same amount once more."""

FEW = 100
"""Number of calibration or validation images below which a warning is printed."""

_SAMPLED_FILES = 64
"""Number of files that `survey` opens, at equal distances in the list of files."""


def survey_files(
    files: Sequence[Path],
    classes: Sequence[str],
    parts: Sequence[str],
    *,
    skip_unreadable: bool = False,
    place: str = "data",
) -> Survey:
    """Count image files, and open at most 64 of them to find size and colour.

    Args:
        files: Paths of the images.
        classes: Class of each image.
        parts: Part of each image; empty if the split chooses the part.
        skip_unreadable: Skip sampled images that cannot be read.
        place: Name of the data in messages.

    Raises:
        DataError: A sampled image cannot be read. All files are then opened, and the message is that of
            `edanas.data.decoding.decode`.
    """
    sample = []
    for position in sampled_positions(len(files)):
        try:
            sample.append(inspect_image(files[position]))
        except DataError:
            if not skip_unreadable:
                decode(files, SMALLEST, "rgb")  # raises the error for all files
                raise
    if not sample:
        raise DataError(f"{place}: none of {len(sampled_positions(len(files)))} images can be read")
    return survey_of(classes, parts, sample)


def sampled_positions(count: int) -> list[int]:
    """Return the numbers of the images that a survey opens, at equal distances; 64 or fewer."""
    return [int(each) for each in np.linspace(0, count - 1, min(_SAMPLED_FILES, count)).round()]


def survey_of(
    classes: Sequence[str], parts: Sequence[str], sample: Sequence[tuple[tuple[int, int], bool]]
) -> Survey:
    """Return the survey of images.

    Args:
        classes: Class of each image.
        parts: Part of each image; empty if the split chooses the part.
        sample: Width and height of sampled images, and True for a grey one.

    Example:
        >>> survey_of(["a", "b", "a"], ["", "", "test"], [((8, 6), True)]).pool
        2
    """
    fixed_parts = frozenset(map(str, parts)) - {"", "train"}
    pairs = zip(classes, parts, strict=True)
    class_sizes = Counter(name for name, part in pairs if part not in fixed_parts)
    return Survey(
        images=len(classes),
        pool=class_sizes.total(),
        fixed_parts=fixed_parts,
        classes=len(class_sizes),
        fewest=min(class_sizes.values()),
        most=max(class_sizes.values()),
        side=int(np.median([min(size) for size, _ in sample])),
        grey=all(grey for _, grey in sample),
    )


def split_shares(images: int) -> SplitSettings:
    """Return the shares of the four parts for a number of images.

    From 1,000 to 100,000 images, calibration and validation get 10% each, and the test part gets 20%. For
    fewer images, calibration and validation get 100 images each, but at most 15%. For more images,
    calibration and validation get 10,000 images each, and the test part gets 20,000: more images would hardly
    make thresholds and accuracies more reliable. The train part gets the rest.

    Args:
        images: Number of images that the split divides.

    Example:
        >>> split_shares(50_000)
        SplitSettings(train=0.6, calibration=0.1, validation=0.1, test=0.2)
    """
    share = min(0.15, max(FEW / images, min(0.1, 10_000 / images)))
    share = round(share, 4)
    test = round(min(0.2, 2 * share), 4)
    return SplitSettings(round(1 - 2 * share - test, 4), share, share, test)


def part_sizes(surveyed: Survey, split: SplitSettings) -> dict[str, int]:
    """Return the approximate number of images in each part that the split draws from the pool.

    Args:
        surveyed: The survey of the folder.
        split: The shares of the four parts.

    Returns:
        Part -> number of images. The dictionary has no entry for the parts in `surveyed.fixed_parts`.
    """
    shares = {part: getattr(split, part) for part in PARTS if part not in surveyed.fixed_parts}
    total = sum(shares.values())
    return {part: max(1, round(surveyed.pool * share / total)) for part, share in shares.items()}


def image_side(surveyed: Survey) -> int:
    """Return the largest side, in pixels, at which networks read the images; `auto_settings` has the rule."""
    side, in_memory = min(surveyed.side, LARGEST), (MEMORY / (surveyed.images * _channels(surveyed))) ** 0.5
    return max(SMALLEST, side if side <= in_memory else int(in_memory / 8) * 8)


def image_sides(surveyed: Survey) -> list[int]:
    """Return the resolutions that are searched: half of `image_side`, three quarters of it, and all of it.

    Example:
        >>> image_sides(Survey(60_000, 60_000, frozenset(), 10, 6000, 6000, side=28, grey=True))
        [14, 21, 28]
    """
    side = image_side(surveyed)
    return sorted({max(SMALLEST, -(-side * quarters // 4)) for quarters in (2, 3, 4)})


def auto_settings(surveyed: Survey, split: SplitSettings) -> dict[str, Any]:
    """Return the settings for a surveyed folder, by their dotted names.

    The settings `supernet.*` do not apply if the user chooses a supernet provider other than the bundle's.

    - Resolutions: half, three quarters and all of the side of the images, which is limited to 64 pixels. If
      all images would take more than 4 GiB, their side is the largest multiple of 8 at which they fit, or 4.
      Nothing is enlarged, except images of less than 4 pixels.
    - Strides: features after the last stage are 2 to 8 pixels wide, and at half of a side below 16 at least
      1. For images of up to 40 pixels the stem has stride 1.
    - Widths and last exit: for images of up to 20 pixels, widths end at 0.5, and the last exit has no layer
      before its classifier. The layers of the last exit have more channels from 100 classes on.
    - Batch size: a hundredth of the number of training images, rounded to a power of two. It is at least 16,
      or 32 for more than 8 classes, and at most 128. The learning rate is proportional to the square root
      of the batch size.
    - Epochs: 5,000 divided by the square root of the number of training images, limited to 5 to 200. 1,000
      images give 158 epochs. The 40,000 training images of CIFAR-10, on which the rule was measured, give 25
      epochs. Results are fine-tuned for a tenth of the epochs, those of dense networks for half.
    - Augmentation: all images are shifted. Grey images are also rotated slightly, and never mirrored, since
      they may be characters. Colour images are also mirrored, and a square of each image is erased.

    Args:
        surveyed: The survey of the folder.
        split: The shares of the four parts.

    Example:
        >>> digits = Survey(1797, 1797, frozenset(), 10, 174, 183, side=8, grey=True)
        >>> settings = auto_settings(digits, split_shares(digits.pool))
        >>> settings["supernet.resolutions"], settings["training.batch_size"], settings["training.epochs"]
        ([4, 6, 8], 32, 152)
    """
    side, train_images = image_side(surveyed), part_sizes(surveyed, split)["train"]
    smallest_exponent = 4 if surveyed.classes <= 8 else 5
    batch = int(2 ** np.clip(round(np.log2(max(1, train_images / 100))), smallest_exponent, 7))
    epochs = int(np.clip(round(5000 / train_images**0.5), 5, 200))
    augment = ["shift", "rotate"] if surveyed.grey else ["shift", "flip", "erase"]
    rate = 0.003 * (batch / 128) ** 0.5
    many_classes, is_small = surveyed.classes >= 100, side <= 20
    return {
        "split": asdict(split),
        "supernet.widths": [0.2, 0.35, 0.5] if is_small else [0.2, 0.35, 0.5, 0.75, 1.0],
        "supernet.resolutions": image_sides(surveyed),
        "supernet.stem_stride": 1 if side <= 40 else 2,
        "supernet.stage_strides": _strides(side),
        "supernet.final_expand": 960 if many_classes else 0 if is_small else 480,
        "supernet.last_width": 1280 if many_classes else 0,
        "training.batch_size": batch,
        "training.learning_rate": round(rate, 5),
        "training.epochs": epochs,
        "training.augment": augment,
        "finetune.batch_size": batch,
        "finetune.learning_rate": round(rate / 6, 5),
        "finetune.epochs": max(2, round(epochs / 10)),
        "finetune.augment": augment,
        "recalibration": int(np.clip(train_images, 2, 2000)),
    }


def _strides(side: int) -> list[int]:
    """Return the strides of the stages for images of `side` pixels."""
    if side < 8:
        return [1, 2, 1, 1, 1]
    return [2, 2, 1, 1, 1] if side <= 20 else [2, 2, 1, 2, 1]


def choice_sentences(surveyed: Survey, settings: Settings, sides: Sequence[int]) -> list[str]:
    """Return a sentence that reports the chosen settings, then warnings about the data.

    Args:
        surveyed: The survey of the folder.
        settings: The settings of the run; the user may have overridden settings of the preset.
        sides: Resolutions of the supernet, in pixels; one or more.
    """
    parts, colour = part_sizes(surveyed, settings.split), "grey" if surveyed.grey else "colour"
    read = " and ".join(str(side) for side in sides)
    classes = "1 class" if surveyed.classes == 1 else f"{surveyed.classes:,} classes"
    kind = "series" if surveyed.length else "recordings" if surveyed.sound else "images"
    described = "as pictures with a" if surveyed.sound else "with a median"
    adjective = "" if surveyed.sound else f"{colour} "
    sentences = [
        f"The data has {surveyed.images:,} {adjective}{kind} in {classes}, {described} "
        f"side of {surveyed.side} px; networks read them at {read} px. "
        f"The supernet is trained on {parts['train']:,} {kind} {_length(settings)}."
    ]
    if surveyed.length:
        unequal = ", and shorter ones are padded and masked" if surveyed.padded else ""
        sentences = [
            f"The data has {surveyed.images:,} series in {classes}, of up to "
            f"{surveyed.length:,} values{unequal}; networks read {read} values. The supernet is trained on "
            f"{parts['train']:,} series {_length(settings)}."
        ]
    gigabytes = surveyed.images * _channels(surveyed) * max(sides) ** 2 / 1e9
    if gigabytes >= 1 and not surveyed.length:
        sentences.append(
            f"The run keeps few {kind} in memory at a time, and all {kind} in files under EDANAS_HOME: "
            f"about {gigabytes:.1f} GB, and up to three times as much during decoding and splitting."
        )
    small_parts = [part for part in ("calibration", "validation") if part in parts]
    if any(parts[part] < FEW for part in small_parts):
        counts = " and ".join(f"{parts[part]} {part}" for part in small_parts)
        sentences.append(f"{counts} {kind} are few: thresholds and the choice of networks depend on chance.")
    return sentences


def _length(settings: Settings) -> str:
    """Return the length of the trainings as text."""
    batches = f"in batches of {settings.training.batch_size}"
    if settings.time_limit:
        return f"{batches}, for as many epochs as the time limit allows"
    epochs, later = settings.training.epochs, settings.finetune.epochs
    return f"for {_epochs(epochs)} {batches}, and each result for {_epochs(later)}"


def _epochs(number: int) -> str:
    return f"{number} epoch" if number == 1 else f"{number} epochs"


def _channels(surveyed: Survey) -> int:
    return 1 if surveyed.grey else 3
