"""Initial weights of a run's supernet, from the file of a trained supernet or from the supernet provider."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edanas.core.config import changed as changed_settings
from edanas.core.config import resolve, to_plain
from edanas.core.contracts import Supernet
from edanas.core.errors import AbsentWeightsError, ConfigError, WeightsError, unknown
from edanas.core.machine import home
from edanas.core.types import Task
from edanas.evaluation.leakage import check_leakage
from edanas.evaluation.workbench import Workbench
from edanas.training.sandwich import SupernetWithExits
from edanas.training.supernet_file import find, load, names, prefixes, read_recipe, tensors_of

SUPERNET, HEADS, CRITERION, INFERENCE = "supernet", "heads", "criterion", "inference"
"""Prefixes of the tensor names in a supernet's file: the attributes of `SupernetWithExits`."""


def trained_parts(network: SupernetWithExits) -> dict[str, nn.Module]:
    """Return the modules that a supernet's file stores, by the prefix of their tensor names.

    The confidence criterion and the inference rule are among them only if they have weights.
    """
    parts: dict[str, nn.Module] = {SUPERNET: network.supernet, HEADS: network.heads}
    readers: dict[str, object] = {CRITERION: network.criterion, INFERENCE: network.inference}
    stored = {n: r for n, r in readers.items() if isinstance(r, nn.Module) and r.state_dict()}
    return parts | stored


def load_initial_weights(
    bench: Workbench, supernet: Supernet, network: SupernetWithExits | None = None
) -> str | None:
    """Load the weights of the setting `weights` into a supernet.

    The last layers keep their random weights if the file has other classes or another order of classes. The
    criterion keeps its random weights, too, if the file was trained with another criterion.

    Args:
        bench: The run's objects.
        supernet: A new supernet of the run's provider; changed in place.
        network: The same supernet with its heads and criterion, which are also loaded; `None` = load the
            supernet alone.

    Returns:
        A sentence for the user on the loaded tensors; `None` if the setting `weights` is empty.

    Raises:
        WeightsError: The weights are not available, belong to another supernet, or were trained on held-out
            images.
        ConfigError: The last layers or the criterion would stay random, since `training.epochs` is 0.
    """
    name = bench.settings.weights
    if not name:
        return None
    path = find(name)
    if path is None:
        try:
            return bench.provider.load_weights(supernet, name)
        except AbsentWeightsError:
            raise
        except WeightsError as error:
            raise WeightsError(
                f"{error} {unknown('trained supernet', name, names())} Folder for your trained supernets: "
                f"{home() / 'weights'}."
            ) from error
    recipe = read_recipe(path)
    _check_kind(bench, path, recipe, heads=network is not None)
    doubt = check_leakage(bench, path)
    message = _load(bench, path, recipe, {SUPERNET: supernet} if network is None else trained_parts(network))
    return f"{message}. {doubt}" if doubt else message


def _load(bench: Workbench, path: Path, recipe: Mapping[str, Any], parts: dict[str, nn.Module]) -> str:
    """Load the parts of the file that fit the run, and return a sentence for the user on them."""
    other_classes, remark = _other_classes(bench, recipe), ""
    if other_classes:
        _check_epochs(bench, path, "the last layers", other_classes)
    for name, noun, reader in (
        (CRITERION, "criterion", bench.criterion),
        (INFERENCE, "inference rule", bench.inference),
    ):
        if name in parts and (cause := other_classes or _other_reader(bench, path, recipe, name, noun)):
            del parts[name]
            # A criterion with `fits` learns after the training of each network, and needs no weights here.
            if not reader.fits or bench.inference is reader:
                _check_epochs(bench, path, f"the {noun}", cause)
                remark += f"; the {noun} has fresh weights ({cause})"
    try:
        return load(path, parts, _class_tensors(bench, parts) if other_classes else ()) + remark
    except WeightsError as error:
        trained, current = int(recipe["in_channels"]), bench.parts.task.in_channels
        if trained == current:
            raise
        mode = "grey" if trained == 1 else "rgb"
        raise WeightsError(
            f"{error}, or with {trained} image channels; the images of this run have {current}. "
            f"`--set data.channels={mode}` reads a folder's images with {trained}"
        ) from error


def _check_kind(bench: Workbench, path: object, recipe: Mapping[str, Any], *, heads: bool) -> None:
    """Check that the file's supernet is the supernet of this run; with `heads`, check its heads, too."""
    kinds = ("supernet", "classifier") if heads else ("supernet",)
    if lines := _changed(bench, recipe, *kinds):
        saved, here = recipe.get("settings", {}), bench.settings
        plugin, preset = saved.get("plugin"), saved.get("preset")
        differs = plugin and preset and (plugin, preset) != (here.plugin, here.preset)
        advice = f"; `--plugin {plugin} --preset {preset}` begins with its settings" if differs else ""
        raise WeightsError(
            f"{path}: holds another supernet than this run searches. Changed: {lines}. The file was trained "
            f"with plugin {plugin}, preset {preset}{advice}"
        )


def _changed(bench: Workbench, recipe: Mapping[str, Any], *kinds: str) -> str:
    """Return the differences between the file and the run in the settings `kinds`, as text; empty = none.

    The options of an implementation with another name are left out.
    """
    saved, current = recipe.get("settings", {}), to_plain(bench.settings)
    old = resolve([("", {kind: saved[kind] for kind in kinds if kind in saved})])
    new = resolve([("", {kind: current[kind] for kind in kinds})])
    lines = changed_settings(old, new)
    renamed = tuple(f"{kind}." for kind in kinds if any(line.startswith(f"{kind}:") for line in lines))
    return "; ".join(line for line in lines if not line.startswith(renamed))


def _other_classes(bench: Workbench, recipe: Mapping[str, Any]) -> str:
    """Return the first difference between the classes of the file and of the run, as text; empty = none."""
    saved, current = [*recipe["classes"]], [*bench.parts.train.classes]
    if len(saved) != len(current):
        return f"trained for {len(saved)} classes, and this run has {len(current)}"
    for number, (old, new) in enumerate(zip(saved, current, strict=True), 1):
        if old != new:
            return f"class {number} was '{old}', and is '{new}' in this run"
    return ""


def _other_reader(bench: Workbench, path: Path, recipe: Mapping[str, Any], name: str, noun: str) -> str:
    """Return the reason why the file lacks weights for a criterion or rule; empty if it has the weights."""
    if lines := _changed(bench, recipe, name):
        return lines
    return "" if name in prefixes(path) else f"the file holds no weights for the {noun}"


def _check_epochs(bench: Workbench, path: Path, layers: str, cause: str) -> None:
    """Check that the run trains layers with random weights before it evaluates candidates.

    Args:
        bench: The run's objects.
        path: The supernet's file, for the message.
        layers: The layers with random weights, for the message.
        cause: The reason why the weights do not fit this run, for the message.

    Raises:
        ConfigError: `training.epochs` is 0.
    """
    if not bench.settings.training.trains:
        raise ConfigError(
            f"training.epochs: found 0, and weights {path} leave {layers} random ({cause}), so that "
            "candidates cannot be compared; allowed: 1 or more, or weights for the same classes and criterion"
        )


def _class_tensors(bench: Workbench, parts: Mapping[str, nn.Module]) -> set[str]:
    """Return the names of the tensors in `parts` whose shape depends on the number of classes."""
    task = bench.parts.task
    more = Task(task.in_channels, task.num_classes + 1)
    with torch.random.fork_rng(devices=[]):
        supernet = bench.provider.supernet(more)
        wider = SupernetWithExits(supernet, bench.provider, bench.classifier, more).state_dict()
    return {name for name, tensor in tensors_of(parts).items() if tensor.shape != wider[name].shape}
