"""Test images for the report: who left first and surest, who had to go all the way, and who was judged wrong.

They come from the one look at the test part that a finished network is given, and nothing depends on them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from edanas.core.contracts import ExitNetwork
from edanas.core.runfolder import writing
from edanas.core.types import ExitProfile, ImageSet, SelectionScheme
from edanas.thresholds.profiles import exit_columns

EXAMPLES = "examples"
"""The folder, in a run's folder, of these images."""

EARLY, LATE, WRONG = "early", "late", "wrong"

_EXACT, _LARGEST = 32, 96
"""Sides in pixels up to which an image is kept as it is, and to which a larger one is reduced: a page holds
dozens of them."""


def choose(profile: ExitProfile, scheme: SelectionScheme, most: int) -> dict[str, list[int]]:
    """Samples of three kinds by number, at most `most` of each; no sample is of two kinds.

    `early`: right, and surest at the first exit where anybody leaves. `late`: right at the last exit where
    anybody leaves, the least sure at the exit before it first; nobody, where all leave at one exit. `wrong`:
    judged wrongly, the surest first.

    Args:
        profile: Of the network, on the samples to choose from.
        scheme: The network's own.
        most: Images of each kind; 0 = none.
    """
    left_at = exit_columns(profile, scheme)
    first, last = int(left_at.min()), int(left_at.max())
    samples = np.arange(len(profile))
    sure, right = profile.confidence[samples, left_at], profile.correct[samples, left_at]
    early = right & (left_at == first)
    late = right & (left_at == last) & (first < last)
    columns = [profile.points.index(point) for point in scheme.placed]
    before = max((column for column in columns if column < last), default=last)
    return {
        EARLY: _first(samples[early], -sure[early], most),
        LATE: _first(samples[late], profile.confidence[late, before], most),
        WRONG: _first(samples[~right], -sure[~right], most),
    }


def write_examples(
    folder: Path, stem: str, network: ExitNetwork, data: ImageSet, profile: ExitProfile, most: int
) -> list[dict[str, Any]]:
    """Write the chosen images, and say what the network made of each.

    Args:
        folder: The run's folder.
        stem: What the files' names begin with.
        network: Finished, in eval mode.
        data: The samples of `profile`.
        profile: Of `network`.
        most: Images of each kind; 0 = none.

    Returns:
        For each image `kind`, `file` in the run's folder, `label` and `predicted` (numbers of classes),
        `exit` (its number from 0, the last exit after all exit points) and `confidence` there.

    Raises:
        RunError: An image cannot be written.
    """
    chosen = [(kind, at) for kind, found in choose(profile, network.scheme, most).items() for at in found]
    if not chosen:
        return []
    samples = data.subset(np.array([at for _, at in chosen], dtype=np.int64))
    said = network(samples.images)
    rows = []
    for number, (kind, _) in enumerate(chosen):
        rows.append(
            {
                "kind": kind,
                "file": _write(folder, f"{stem}-{number + 1}-{kind}", samples.images[number]),
                "label": int(samples.labels[number]),
                "predicted": int(said.label[number]),
                "exit": int(said.exit[number]),
                "confidence": float(said.confidence[number]),
            }
        )
    return rows


def _first(samples: npt.NDArray[np.int64], key: npt.NDArray[np.float32], most: int) -> list[int]:
    return [int(at) for at in samples[np.argsort(key, kind="stable")][:most]]


def _write(folder: Path, stem: str, image: torch.Tensor) -> str:
    """The file's path in the run's folder: pixels as they are where there are few, a small JPEG else."""
    pixels = image.permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    exact = max(picture.size) <= _EXACT
    picture.thumbnail((_LARGEST, _LARGEST))
    path = folder / EXAMPLES / f"{stem}.{'png' if exact else 'jpg'}"
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        if exact:
            picture.save(path)
        else:
            picture.save(path, quality=85)
    return path.relative_to(folder).as_posix()
