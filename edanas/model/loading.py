"""Loading of finished networks from their files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from edanas.core.contracts import ExitClassifier, SupernetProvider
from edanas.core.cut_backbones import completed, restricted, stages_of
from edanas.core.devices import named_device
from edanas.core.errors import WeightsError
from edanas.core.preprocess import PREPROCESSING
from edanas.core.tracing import exit_points, trace
from edanas.core.trust import from_a_file
from edanas.core.types import Backbone, Task
from edanas.deploy.loading import load_network
from edanas.model.eenn import EENN
from edanas.model.temperature import TEMPERATURES, apply_temperatures
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry

_LARGEST_SIDE = 65_536
"""Largest side of images in a description, in pixels."""

_BEFORE_RULES = {"name": "early-stop", "options": {}}
"""Inference rule of networks that were saved before inference rules were recorded in the description."""


def load(
    path: str | Path,
    device: str = "cpu",
    *,
    freeze: bool = False,
    compile: bool | str = False,  # noqa: A002 - torch's word
    trust_code: bool = False,
) -> EENN:
    """Load a finished network from its files.

    The method `predict` of the result returns predictions, exits and confidences for images.

    Args:
        path: Path of the network's `.safetensors` or `.json` file; a run writes them to its folder `models`.
            Both files must lie in the same folder.
        device: Device for the network: `cpu`, the default, or `cuda`, for example.
        freeze: True to return a copy that is faster for inference, with equal outputs up to rounding; see
            `EENN.freeze`.
        compile: True, or the name of a backend, to freeze the network and compile its modules; see
            `EENN.freeze`.
        trust_code: True to allow the Python module that the network's description names. Only networks of
            the supernet provider `module` name a Python module. No other code from the files is ever run.

    Raises:
        WeightsError: A file is missing or damaged, the two files do not belong together, or the network names
            a Python module and `trust_code` is false.
        ConfigError: A plugin of the network is not installed, the device is not available, or `torch.compile`
            does not work on this machine.

    Example:
        >>> load("run/models/eenn-2.json")
        Traceback (most recent call last):
        ...
        edanas.core.errors.WeightsError: run/models/eenn-2.json: cannot be read: No such file or directory
    """
    place = named_device(device)
    registry = Registry(load_plugins())
    with from_a_file(trust=trust_code):
        network = load_network(Path(path), lambda description: _build_network(registry, description))
    placed = network.to(place)
    return placed.freeze(compile=compile) if freeze or compile else placed


def _check_preprocessing(network: EENN) -> None:
    """Check the size of images in a network's description; older descriptions have none.

    Raises:
        WeightsError: The size is damaged.
    """
    fields = network.description.get(PREPROCESSING)
    size = fields.get("image_size") if isinstance(fields, dict) else fields
    if size is None and fields is None:
        return
    if (
        not isinstance(size, list)
        or len(size) != 2
        or any(type(each) is not int or not 1 <= each <= _LARGEST_SIDE for each in size)
    ):
        raise WeightsError(
            f"{PREPROCESSING}.image_size: found {size!r}; allowed: a list of width and height, "
            f"1 to {_LARGEST_SIDE}"
        )


def _build_network(registry: Registry, description: Mapping[str, Any]) -> EENN:
    """Return the network that a description defines, with random weights.

    Raises:
        WeightsError: A value of the description is missing or damaged.
    """
    description = {"inference": _BEFORE_RULES, **description}

    def named(kind: str, key: str) -> Any:
        return registry.create(kind, description[key]["name"], description[key]["options"])

    try:
        task = Task(description["in_channels"], description["num_classes"])
        provider: SupernetProvider = named("supernet provider", "supernet")
        chosen, variables = Backbone.of(description["backbone"]), provider.variables()
        backbone = provider.build(restricted(completed(chosen, variables), variables), task)
        points = exit_points(trace(backbone, task.in_channels)[0])
        classifier: ExitClassifier = named("exit classifier", "classifier")

        def head(at: int) -> nn.Module:
            return classifier.chosen(chosen, at).build(points[at], task.num_classes)

        stages = stages_of(chosen, len(backbone.stages))
        if stages < len(backbone.stages):
            backbone = backbone.cut(stages, head(stages - 1))
        criterion = named("confidence criterion", "criterion").build(task.num_classes, len(points))
        rule = named("inference rule", "inference").build(task.num_classes, len(points))
        heads = {at: head(at) for at in description["heads"]}
        network = EENN(
            backbone,
            heads,
            tuple(description["thresholds"]),
            criterion,
            description["mean"],
            description["std"],
            description["classes"],
            rule,
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise WeightsError(f"the network's description is incomplete or damaged: {error!r}") from error
    network.description = dict(description)
    _check_preprocessing(network)
    apply_temperatures(network, description.get(TEMPERATURES, ()))
    return network
