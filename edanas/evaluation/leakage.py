"""Check that a supernet was not trained on the held-out images of a run, by comparison of pixels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edanas.core.config import resolve
from edanas.core.errors import WeightsError
from edanas.core.machine import user_path
from edanas.core.settings import Settings
from edanas.evaluation.workbench import Workbench
from edanas.training.supernet_file import COPIES, PRETRAINED, read_recipe, trained_share

MOST_SEEN = 0.01
"""Largest allowed fraction of a held-out part's images that are also training images of a supernet.

The fraction is above 0, since data sets contain some images twice.
"""


def check_leakage(bench: Workbench, path: Path) -> str:
    """Check that a supernet was not trained on the calibration, validation or test part of a run.

    Two images are the same if all their pixels are equal. The check therefore finds no image of another size
    or with another number of channels.

    Args:
        bench: The run's objects.
        path: The file of a trained supernet.

    Returns:
        A warning for the user if held-out images cannot be recognised among the training images; empty if
        they can.

    Raises:
        WeightsError: More than 1% of a held-out part's images are training images of the supernet.
    """
    recipe = read_recipe(path)
    for name in ("test", "validation", "calibration"):
        share = trained_share(path, getattr(bench.parts, name))
        if share > MOST_SEEN:
            split = ", ".join(f"{k} {v:g}" for k, v in recipe["settings"]["split"].items())
            raise WeightsError(
                f"{path}: was trained on {share:.0%} of this run's {name} samples, which must be held out; "
                "allowed: other samples, or the seed and split of that training "
                f"(seed {recipe['settings']['seed']}, split {split})"
            )
    return _copies(bench, path) or _other_shape(bench, path, recipe)


def _copies(bench: Workbench, path: Path) -> str:
    """Return a warning if a supernet of the package was trained on altered copies of the run's images."""
    data = bench.settings.data.name
    if path.parent != PRETRAINED or COPIES.get(path.stem) != data:
        return ""
    return (
        f"{path.stem} was trained on copies of {data}'s training images with slightly different pixels. "
        "These copies may include this run's calibration and validation images, but not its test images"
    )


def _other_shape(bench: Workbench, path: Path, recipe: Mapping[str, Any]) -> str:
    """Return a warning if the supernet's and the run's training images differ in size or channels."""
    current = list(bench.parts.train.images.shape[1:])
    # Files of older versions hold only the number of channels.
    saved = list(recipe.get("image_shape", [recipe["in_channels"], *current[1:]]))
    settings = {name: recipe["settings"][name] for name in ("data", "split", "seed")}
    if saved == current or _have_same_split(resolve([("", settings)]), bench.settings):
        return ""
    return (
        f"The run cannot check whether {path} was trained on held-out samples, since the supernet's "
        f"training samples had {_size_text(saved)}, and this run's samples have {_size_text(current)}. With "
        "the seed and split of that training, the run would hold out the same samples"
    )


def _have_same_split(one: Settings, other: Settings) -> bool:
    """Return `True` if two runs hold out the same images: same data set, seed and split.

    Data sets are compared by the last component of their path, since the settings stored in a supernet's file
    hold no folders.
    """
    names = [user_path(settings.data.name).absolute().name for settings in (one, other)]
    return names[0] == names[1] and (one.seed, one.split) == (other.seed, other.split)


def _size_text(shape: list[int]) -> str:
    channels, height, width = shape
    if height == 1:
        return f"{width} values in {channels} {'channel' if channels == 1 else 'channels'}"
    return f"{width}x{height} pixels in {'grey' if channels == 1 else 'colour'}"
