"""Whether a trained supernet has seen what a run must not have seen: by exact pixels, as images were read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edanas.core.config import resolve
from edanas.core.errors import WeightsError
from edanas.core.settings import Settings
from edanas.evaluation.workbench import Workbench
from edanas.training.supernet_file import COPIES, PRETRAINED, read_recipe, trained_share

MOST_SEEN = 0.01
"""A part that is held out may hold this share of a supernet's train images: data sets repeat some."""


def check_unseen(bench: Workbench, path: Path) -> str:
    """What thresholds are set, candidates judged and results tested on was not trained on.

    Images are told by their exact pixels, at the size and with the channels that they were read.

    Args:
        bench: The run's objects.
        path: A trained supernet.

    Returns:
        What cannot be told so, in a sentence; empty where all can.

    Raises:
        WeightsError: Of a part that is held out, it has seen more than data sets repeat.
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
    return _copies(bench, path) or _read_otherwise(bench, path, recipe)


def _copies(bench: Workbench, path: Path) -> str:
    data = bench.settings.data.name
    if path.parent != PRETRAINED or COPIES.get(path.stem) != data:
        return ""
    return (
        f"{path.stem} was trained on copies of {data}'s train images, of slightly other pixels: what this "
        "run divides off them for calibration and validation may be seen, and only the test part is not"
    )


def _read_otherwise(bench: Workbench, path: Path, recipe: Mapping[str, Any]) -> str:
    here = list(bench.parts.train.images.shape[1:])
    # Files of before there was this note tell the channels alone.
    its = list(recipe.get("image_shape", [recipe["in_channels"], *here[1:]]))
    then = {name: recipe["settings"][name] for name in ("data", "split", "seed")}
    if its == here or _divided_alike(resolve([("", then)]), bench.settings):
        return ""
    return (
        f"Whether {path} has seen images that this run holds out cannot be told: it read them as "
        f"{_in_words(its)}, and here they are {_in_words(here)}; the seed and split of its own training "
        "would hold out the same"
    )


def _divided_alike(then: Settings, here: Settings) -> bool:
    """Whether the same images of the same data set are held out; a recipe's data set has no path."""
    names = [Path(each.data.name).expanduser().absolute().name for each in (then, here)]
    return names[0] == names[1] and (then.seed, then.split) == (here.seed, here.split)


def _in_words(shape: list[int]) -> str:
    channels, height, width = shape
    return f"{width}x{height} pixels in {'grey' if channels == 1 else 'colour'}"
