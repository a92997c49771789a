"""Check that a supernet was not trained on images that a run holds out, by their exact pixels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edanas.core.config import resolve
from edanas.core.errors import WeightsError
from edanas.core.settings import Settings
from edanas.evaluation.workbench import Workbench
from edanas.training.supernet_file import COPIES, PRETRAINED, read_recipe, trained_share

MOST_SEEN = 0.01
"""Most train images of a supernet in a held-out part, a fraction; data sets repeat some images."""


def check_leakage(bench: Workbench, path: Path) -> str:
    """Check that no held-out part of the data was in a supernet's training.

    Images are compared by their exact pixels, at the size and with the channels of both runs.

    Args:
        bench: The run's objects.
        path: A trained supernet's file.

    Returns:
        A sentence on images that cannot be compared; empty if all can.

    Raises:
        WeightsError: A held-out part has more of the supernet's train images than data sets repeat.
    """
    recipe = read_recipe(path)
    for name in ("test", "validation", "calibration"):
        share = trained_share(path, getattr(bench.parts, name))
        if share > MOST_SEEN:
            split = ", ".join(f"{k} {v:g}" for k, v in recipe["settings"]["split"].items())
            raise WeightsError(
                f"{path}: was trained on {share:.0%} of this run's {name} images, which must stay unseen; "
                f"allowed: images it never saw, or its own division (seed {recipe['settings']['seed']}, "
                f"split {split})"
            )
    return _copies(bench, path) or _other_shape(bench, path, recipe)


def _copies(bench: Workbench, path: Path) -> str:
    data = bench.settings.data.name
    if path.parent != PRETRAINED or COPIES.get(path.stem) != data:
        return ""
    return (
        f"{path.stem} was trained on copies of {data}'s train images with slightly other pixels: this run's "
        "calibration and validation parts may be among them; the test part is not"
    )


def _other_shape(bench: Workbench, path: Path, recipe: Mapping[str, Any]) -> str:
    current = list(bench.parts.train.images.shape[1:])
    # Older files hold the number of channels alone.
    saved = list(recipe.get("image_shape", [recipe["in_channels"], *current[1:]]))
    settings = {name: recipe["settings"][name] for name in ("data", "split", "seed")}
    if saved == current or _have_same_split(resolve([("", settings)]), bench.settings):
        return ""
    return (
        f"This run cannot check whether {path} was trained on images that it holds out, since the images had "
        f"{_size_text(saved)} then, and have {_size_text(current)} here; the same seed and split as in that "
        "training would hold out the same images"
    )


def _have_same_split(one: Settings, other: Settings) -> bool:
    """Return whether both hold out the same images of one data set; a recipe's data set has no path."""
    names = [Path(settings.data.name).expanduser().absolute().name for settings in (one, other)]
    return names[0] == names[1] and (one.seed, one.split) == (other.seed, other.split)


def _size_text(shape: list[int]) -> str:
    channels, height, width = shape
    return f"{width}x{height} pixels in {'grey' if channels == 1 else 'colour'}"
