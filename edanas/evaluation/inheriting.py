"""What a run begins with: trained supernets of ours with their heads, and what only the provider can read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from edanas.core.config import changed as changed_settings
from edanas.core.config import resolve, to_plain
from edanas.core.contracts import Supernet
from edanas.core.errors import WeightsError, unknown
from edanas.core.machine import home
from edanas.core.types import DataParts
from edanas.evaluation.workbench import Workbench
from edanas.training.weights import find, load, names, read_recipe, seen_among

SUPERNET, HEADS = "supernet", "heads"
"""The prefixes of the tensors in a supernet's file."""

MOST_SEEN = 0.01
"""A part that is held out may hold this share of a supernet's train images: data sets repeat some."""


def fill(bench: Workbench, supernet: Supernet, heads: nn.Module | None = None) -> str | None:
    """Fill a supernet, and its heads, with the weights that the settings name; a sentence on what was done.

    Args:
        bench: The run's objects.
        supernet: Fresh from the run's provider.
        heads: The shared heads, for a supernet that was trained with them; `None` where heads start afresh.

    Raises:
        WeightsError: The weights cannot be had, are of another supernet, or have seen what must stay unseen.
    """
    name = bench.settings.weights
    if not name:
        return None
    path = find(name)
    if path is None:
        try:
            return bench.provider.load_weights(supernet, name)
        except WeightsError as error:
            raise WeightsError(
                f"{error} {unknown('trained supernet', name, names())} Your own: {home() / 'weights'}."
            ) from error
    recipe = read_recipe(path)
    _check_kind(bench, path, recipe, heads=heads is not None)
    check_unseen(bench.parts, path)
    modules: dict[str, nn.Module] = {SUPERNET: supernet}
    if heads is not None:
        modules[HEADS] = heads
    return load(path, modules)


def _check_kind(bench: Workbench, path: object, recipe: Mapping[str, Any], *, heads: bool) -> None:
    """The file's supernet, and its heads, are of the kind that this run searches."""
    then = recipe.get("settings", {})
    here = to_plain(bench.settings)
    kinds = ("supernet", "classifier") if heads else ("supernet",)
    old = resolve([("", {kind: then[kind] for kind in kinds if kind in then})])
    new = resolve([("", {kind: here[kind] for kind in kinds})])
    lines = changed_settings(old, new)
    if lines:
        hint = f"plugin {then.get('plugin')}, preset {then.get('preset')}"
        raise WeightsError(
            f"{path}: of another supernet than this run searches. Changed: {'; '.join(lines)}. "
            f"It was trained with {hint}"
        )


def check_unseen(parts: DataParts, path: Path) -> None:
    """What thresholds are set, candidates judged and results tested on was not trained on.

    Args:
        parts: A run's data.
        path: A trained supernet.

    Raises:
        WeightsError: Of a part that is held out, it has seen more than data sets repeat.
    """
    for name in ("test", "validation", "calibration"):
        share = seen_among(path, getattr(parts, name))
        if share > MOST_SEEN:
            recipe = read_recipe(path)
            split = ", ".join(f"{k} {v:g}" for k, v in recipe["settings"]["split"].items())
            raise WeightsError(
                f"{path}: was trained on {share:.0%} of this run's {name} images, which must stay unseen; "
                f"allowed: images it never saw, or its own division (seed {recipe['settings']['seed']}, "
                f"split {split})"
            )
