"""What a run begins with: trained supernets of ours with their heads, and what only the provider can read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edanas.core.config import changed as changed_settings
from edanas.core.config import resolve, to_plain
from edanas.core.contracts import Supernet
from edanas.core.errors import ConfigError, WeightsError, unknown
from edanas.core.machine import home
from edanas.core.types import Task
from edanas.evaluation.leakage import check_unseen
from edanas.evaluation.workbench import Workbench
from edanas.training.sandwich import SupernetWithExits
from edanas.training.supernet_file import find, load, names, prefixes, read_recipe, tensors_of

SUPERNET, HEADS, CRITERION = "supernet", "heads", "criterion"
"""The prefixes of the tensors in a supernet's file, which are those in a `SupernetWithExits`, too."""


def trained_parts(network: SupernetWithExits) -> dict[str, nn.Module]:
    """What a supernet's file holds, by prefix: supernet, heads, and the criterion where it has weights."""
    parts: dict[str, nn.Module] = {SUPERNET: network.supernet, HEADS: network.heads}
    criterion: object = network.criterion
    if isinstance(criterion, nn.Module) and criterion.state_dict():
        parts[CRITERION] = criterion
    return parts


def fill(bench: Workbench, supernet: Supernet, network: SupernetWithExits | None = None) -> str | None:
    """Fill a supernet with the weights that the settings name; a sentence on what was done.

    Layers that answer for classes start afresh where the file's are others, or in another order; so does a
    criterion that the file was not trained with.

    Args:
        bench: The run's objects.
        supernet: Fresh from the run's provider.
        network: The supernet with all that is trained with it; `None` where heads start afresh.

    Raises:
        WeightsError: The weights cannot be had, are of another supernet, or have seen what must stay unseen.
        ConfigError: Something would start afresh, and `training.epochs` is 0.
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
    _check_kind(bench, path, recipe, heads=network is not None)
    untold = check_unseen(bench, path)
    said = _take(bench, path, recipe, {SUPERNET: supernet} if network is None else trained_parts(network))
    return f"{said}. {untold}" if untold else said


def _take(bench: Workbench, path: Path, recipe: Mapping[str, Any], parts: dict[str, nn.Module]) -> str:
    """Fill what the file has weights for; a sentence on what was done."""
    others, afresh = _other_classes(bench, recipe), ""
    if others:
        _check_learned(bench, path, "the last layers", others)
    if CRITERION in parts and (why := others or _other_criterion(bench, path, recipe)):
        del parts[CRITERION]
        # What is fitted once a network is trained need not have learned before.
        if not bench.criterion.fits:
            _check_learned(bench, path, "the criterion", why)
            afresh = f"; the criterion starts afresh ({why})"
    return load(path, parts, _for_classes(bench, parts) if others else ()) + afresh


def _check_kind(bench: Workbench, path: object, recipe: Mapping[str, Any], *, heads: bool) -> None:
    """The file's supernet, and its heads, are of the kind that this run searches."""
    kinds = ("supernet", "classifier") if heads else ("supernet",)
    if lines := _changed(bench, recipe, *kinds):
        then = recipe.get("settings", {})
        raise WeightsError(
            f"{path}: of another supernet than this run searches. Changed: {lines}. It was trained with "
            f"plugin {then.get('plugin')}, preset {then.get('preset')}"
        )


def _changed(bench: Workbench, recipe: Mapping[str, Any], *kinds: str) -> str:
    """How these settings of the file differ from the run's, in words; empty where they do not."""
    then, here = recipe.get("settings", {}), to_plain(bench.settings)
    old = resolve([("", {kind: then[kind] for kind in kinds if kind in then})])
    new = resolve([("", {kind: here[kind] for kind in kinds})])
    return "; ".join(changed_settings(old, new))


def _other_classes(bench: Workbench, recipe: Mapping[str, Any]) -> str:
    """How the file's classes differ from the run's, in words; empty where they do not."""
    its, ours = [*recipe["classes"]], [*bench.parts.train.classes]
    if len(its) != len(ours):
        return f"trained for {len(its)} classes, and here are {len(ours)}"
    for number, (there, here) in enumerate(zip(its, ours, strict=True), 1):
        if there != here:
            return f"class {number} was '{there}', and here it is '{here}'"
    return ""


def _other_criterion(bench: Workbench, path: Path, recipe: Mapping[str, Any]) -> str:
    """Why the file has no weights for the run's criterion, in words; empty where it has."""
    if lines := _changed(bench, recipe, CRITERION):
        return lines
    return "" if CRITERION in prefixes(path) else "it holds no weights of a criterion"


def _check_learned(bench: Workbench, path: Path, what: str, why: str) -> None:
    """What starts afresh is trained before candidates are judged by it."""
    if not bench.settings.training.epochs:
        raise ConfigError(
            f"training.epochs: found 0, and weights {path} leave {what} random ({why}), by which candidates "
            "cannot be told apart; allowed: 1 or more, or weights that were trained for the same"
        )


def _for_classes(bench: Workbench, parts: Mapping[str, nn.Module]) -> set[str]:
    """Names of the tensors whose shape follows from the number of classes: with one more, it is another."""
    task = bench.parts.task
    more = Task(task.in_channels, task.num_classes + 1)
    with torch.random.fork_rng(devices=[]):
        supernet = bench.provider.supernet(more)
        wider = SupernetWithExits(supernet, bench.provider, bench.classifier, more).state_dict()
    return {name for name, tensor in tensors_of(parts).items() if tensor.shape != wider[name].shape}
