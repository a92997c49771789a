"""Initial weights of a run's supernet, from a trained supernet's file or from the provider."""

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
from edanas.evaluation.leakage import check_leakage
from edanas.evaluation.workbench import Workbench
from edanas.training.sandwich import SupernetWithExits
from edanas.training.supernet_file import find, load, names, prefixes, read_recipe, tensors_of

SUPERNET, HEADS, CRITERION = "supernet", "heads", "criterion"
"""Prefixes of the tensors in a supernet's file, as in a `SupernetWithExits`."""


def trained_parts(network: SupernetWithExits) -> dict[str, nn.Module]:
    """Return the modules of a supernet's file by prefix; the criterion only if it has weights."""
    parts: dict[str, nn.Module] = {SUPERNET: network.supernet, HEADS: network.heads}
    criterion: object = network.criterion
    if isinstance(criterion, nn.Module) and criterion.state_dict():
        parts[CRITERION] = criterion
    return parts


def fill(bench: Workbench, supernet: Supernet, network: SupernetWithExits | None = None) -> str | None:
    """Load the weights that the settings name into a supernet, and return a sentence on them.

    The last layers keep their random weights if the file has other classes or another order of classes; so
    does a criterion that the file was not trained with.

    Args:
        bench: The run's objects.
        supernet: A new supernet of the run's provider.
        network: The supernet with its heads and criterion; `None` = load no heads.

    Returns:
        `None` if the settings name no weights.

    Raises:
        WeightsError: The weights are not available, belong to another supernet, or were trained on held-out
            images.
        ConfigError: Layers would stay random, and `training.epochs` is 0.
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
    doubt = check_leakage(bench, path)
    message = _load(bench, path, recipe, {SUPERNET: supernet} if network is None else trained_parts(network))
    return f"{message}. {doubt}" if doubt else message


def _load(bench: Workbench, path: Path, recipe: Mapping[str, Any], parts: dict[str, nn.Module]) -> str:
    """Load the matching parts of the file, and return a sentence on them."""
    other_classes, remark = _other_classes(bench, recipe), ""
    if other_classes:
        _check_epochs(bench, path, "the last layers", other_classes)
    if CRITERION in parts and (cause := other_classes or _other_criterion(bench, path, recipe)):
        del parts[CRITERION]
        # A criterion that is fitted to each trained network needs no weights from the supernet's training.
        if not bench.criterion.fits:
            _check_epochs(bench, path, "the criterion", cause)
            remark = f"; the criterion starts afresh ({cause})"
    return load(path, parts, _class_tensors(bench, parts) if other_classes else ()) + remark


def _check_kind(bench: Workbench, path: object, recipe: Mapping[str, Any], *, heads: bool) -> None:
    """Check that the file's supernet, and its heads if `heads`, are those of this run."""
    kinds = ("supernet", "classifier") if heads else ("supernet",)
    if lines := _changed(bench, recipe, *kinds):
        saved = recipe.get("settings", {})
        raise WeightsError(
            f"{path}: of another supernet than this run searches. Changed: {lines}. It was trained with "
            f"plugin {saved.get('plugin')}, preset {saved.get('preset')}"
        )


def _changed(bench: Workbench, recipe: Mapping[str, Any], *kinds: str) -> str:
    """Return the differences between these settings of the file and of the run; empty if there are none."""
    saved, current = recipe.get("settings", {}), to_plain(bench.settings)
    old = resolve([("", {kind: saved[kind] for kind in kinds if kind in saved})])
    new = resolve([("", {kind: current[kind] for kind in kinds})])
    return "; ".join(changed_settings(old, new))


def _other_classes(bench: Workbench, recipe: Mapping[str, Any]) -> str:
    """Return a difference between the file's classes and the run's; empty if there is none."""
    saved, current = [*recipe["classes"]], [*bench.parts.train.classes]
    if len(saved) != len(current):
        return f"trained for {len(saved)} classes, and here are {len(current)}"
    for number, (old, new) in enumerate(zip(saved, current, strict=True), 1):
        if old != new:
            return f"class {number} was '{old}', and here it is '{new}'"
    return ""


def _other_criterion(bench: Workbench, path: Path, recipe: Mapping[str, Any]) -> str:
    """Return why the file has no weights for the run's criterion; empty if it has."""
    if lines := _changed(bench, recipe, CRITERION):
        return lines
    return "" if CRITERION in prefixes(path) else "it holds no weights of a criterion"


def _check_epochs(bench: Workbench, path: Path, layers: str, cause: str) -> None:
    """Check that random layers are trained before candidates are evaluated."""
    if not bench.settings.training.epochs:
        raise ConfigError(
            f"training.epochs: found 0, and weights {path} leave {layers} random ({cause}), so that "
            "candidates cannot be compared; allowed: 1 or more, or weights that were trained for the same"
        )


def _class_tensors(bench: Workbench, parts: Mapping[str, nn.Module]) -> set[str]:
    """Return the names of the tensors whose shape depends on the number of classes."""
    task = bench.parts.task
    more = Task(task.in_channels, task.num_classes + 1)
    with torch.random.fork_rng(devices=[]):
        supernet = bench.provider.supernet(more)
        wider = SupernetWithExits(supernet, bench.provider, bench.classifier, more).state_dict()
    return {name for name, tensor in tensors_of(parts).items() if tensor.shape != wider[name].shape}
