"""Example images of the test part for the report: early exits, late exits and errors.

The images are chosen after the test of a finished network. No other choice of the run depends on them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts import ExitNetwork
from edanas.core.runfolder import replacing, writing
from edanas.core.types import ExitProfile, ImageSet, SelectionScheme
from edanas.evaluation.series_drawing import draw_series
from edanas.thresholds.profiles import exit_columns

EXAMPLES = "examples"
"""Name of the folder with the example images, inside the run folder."""

EARLY, LATE, WRONG = "early", "late", "wrong"

_EXACT, _LARGEST = 32, 96
"""Sides in pixels: images of at most 32 pixels are stored unchanged, larger images are reduced to 96."""


def choose(profile: ExitProfile, scheme: SelectionScheme, most: int) -> dict[str, list[int]]:
    """Choose example samples of three kinds; a sample is chosen for at most one kind.

    An exit is in use if at least one sample exits there. The three kinds are:

    - `early`: correct at the first exit in use. The most confident samples come first.
    - `late`: correct at the last exit in use. The samples with the least confidence at the placed exit before
      it come first. There are no `late` samples if only one exit is in use.
    - `wrong`: misclassified. The most confident samples come first.

    Args:
        profile: The network's exit profile, over the samples to choose from.
        scheme: The network's thresholds.
        most: Maximum number of samples of each kind; 0 = none.

    Returns:
        A dictionary from each kind to the indices of the chosen samples in `profile`.

    Example:
        >>> confidence = np.array([[0.9, 0.8], [0.2, 0.7], [0.6, 0.5]], dtype=np.float32)
        >>> correct = np.array([[True, True], [False, True], [False, True]])
        >>> choose(ExitProfile((0,), confidence, correct), SelectionScheme((0.5,)), most=1)
        {'early': [0], 'late': [1], 'wrong': [2]}
    """
    columns = exit_columns(profile, scheme)
    first, last = int(columns.min()), int(columns.max())
    samples = np.arange(len(profile))
    confidence, correct = profile.confidence[samples, columns], profile.correct[samples, columns]
    early = correct & (columns == first)
    late = correct & (columns == last) & (first < last)
    placed = [profile.points.index(point) for point in scheme.placed]
    before = max((column for column in placed if column < last), default=last)
    return {
        EARLY: _smallest(samples[early], -confidence[early], most),
        LATE: _smallest(samples[late], profile.confidence[late, before], most),
        WRONG: _smallest(samples[~correct], -confidence[~correct], most),
    }


def write_examples(
    folder: Path, stem: str, network: ExitNetwork, data: ImageSet, profile: ExitProfile, most: int
) -> list[dict[str, Any]]:
    """Choose example images of a network with `choose`, and write them to files.

    Args:
        folder: The run folder.
        stem: Beginning of the file names.
        network: A finished network in eval mode.
        data: The samples of `profile`.
        profile: The network's exit profile.
        most: Maximum number of images of each kind; 0 = none.

    Returns:
        One dictionary for each image. `kind` is a kind of `choose`. `file` is the path of the image, relative
        to the run folder. `label` and `predicted` are the numbers of the true and of the predicted class,
        from 0. `exit_number` is the number of the image's exit, from 1; that of the last exit is the number
        of exit points plus 1. `confidence` is the confidence at that exit.

    Raises:
        RunError: An image cannot be written.
    """
    by_kind = choose(profile, network.scheme, most)
    chosen = [(kind, index) for kind, indices in by_kind.items() for index in indices]
    if not chosen:
        return []
    samples = data.subset(np.array([index for _, index in chosen], dtype=np.int64))
    output = network(samples.images)
    return [
        {
            "kind": kind,
            "file": _write(folder, f"{stem}-{number + 1}-{kind}", samples.images[number]),
            "label": int(samples.labels[number]),
            "predicted": int(output.label[number]),
            "exit_number": int(output.exit[number]) + 1,
            "confidence": float(output.confidence[number]),
        }
        for number, (kind, _) in enumerate(chosen)
    ]


def _smallest(samples: npt.NDArray[np.int64], key: npt.NDArray[np.float32], most: int) -> list[int]:
    return [int(index) for index in samples[np.argsort(key, kind="stable")][:most]]


def _write(folder: Path, stem: str, image: torch.Tensor) -> str:
    """Write an image, and return its path relative to the run folder.

    An image with sides up to `_EXACT` pixels is written as PNG. A larger image is written as a reduced JPEG.
    A series is drawn as curves.
    """
    from PIL import Image

    if image.is_floating_point():
        picture, is_small = draw_series(image), True
    else:
        pixels = image.permute(1, 2, 0).cpu().numpy()
        picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        is_small = max(picture.size) <= _EXACT
        picture.thumbnail((_LARGEST, _LARGEST))
    path = folder / EXAMPLES / f"{stem}.{'png' if is_small else 'jpg'}"
    with writing(path):
        path.parent.mkdir(exist_ok=True)
    with replacing(path) as partial:
        if is_small:
            picture.save(partial, format="PNG")
        else:
            picture.save(partial, format="JPEG", quality=85)
    return path.relative_to(folder).as_posix()
