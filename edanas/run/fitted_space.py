"""Changes of a supernet's space for the limits of memory and time of a run, from a survey of its data."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from edanas.core.devices import threads_of
from edanas.core.settings import Component, Settings
from edanas.core.types import Survey, Task
from edanas.data.auto_preset import part_sizes
from edanas.data.space_for_memory import settings_for_memory, share
from edanas.data.space_for_time import SPEED, affordable_macs, settings_for_time
from edanas.plugins.blame import blamed
from edanas.plugins.registry import Registry
from edanas.run.memory_limits import limit_components, profile_of

_RATE = "finetune.learning_rate"

_INTEGER_FILES = ("litert", "litert-int8")
"""Exporters for microcontrollers that refuse some activations."""


def for_microcontroller(registry: Registry, settings: Settings) -> bool:
    """Return whether a run is for a microcontroller.

    It has limits of RAM or flash or a device, is judged in 8-bit integers, or writes `.tflite` files.
    """
    quantized = bool(settings.evaluation.options.get("quantized"))
    files = any(each.name in _INTEGER_FILES for each in settings.exports)
    return any(_memory(registry, settings)) or quantized or files


def changes_for_memory(registry: Registry, settings: Settings, images: Survey) -> dict[str, Any]:
    """Return the changes of the settings that limits of RAM and flash demand."""
    supernet, (ram, flash) = settings.supernet, _memory(registry, settings)
    if supernet.name not in SPEED or not (ram or flash):
        return {}
    task = Task(1 if images.grey else 3, images.classes)
    with blamed(registry):
        return settings_for_memory(_builder(registry, supernet), supernet.options, task, ram, flash)


def _memory(registry: Registry, settings: Settings) -> tuple[float, float]:
    """Return the limits of RAM and of flash in bytes; 0 = none.

    They are those of the run, of its device and of its constraints; of several, the smallest holds.
    """
    most = {"ram": math.inf, "flash": math.inf}
    bounds = [*settings.constraints, *limit_components(settings, profile_of(settings))]
    for options in (each.options for each in bounds if each.name == "bound"):
        name = options.get("of")
        if isinstance(name, str) and name in most:
            limit = registry.check("constraint", "bound", options).get("at_most")
            most[name] = min(most[name], limit or math.inf)
    ram, flash = (0.0 if math.isinf(limit) else limit for limit in most.values())
    return ram, flash


def _builder(registry: Registry, supernet: Component) -> Callable[[Mapping[str, Any]], Any]:
    return lambda options: registry.create("supernet provider", supernet.name, options)


def changes_for_time(registry: Registry, settings: Settings, images: Survey) -> dict[str, Any]:
    """Return the changes of the settings that the time limit demands."""
    supernet, train = settings.supernet, part_sizes(images, settings.split)["train"]
    if supernet.name not in SPEED:
        return {}
    speed, build = SPEED[supernet.name] * threads_of(settings), _builder(registry, supernet)
    task, limits = Task(1 if images.grey else 3, images.classes), _memory(registry, settings)
    with blamed(registry):
        changes = settings_for_time(
            build,
            supernet.options,
            task,
            affordable_macs(settings.time_limit, speed, train),
            settings.training,
            lambda options: share(build(options), task, *limits) <= 1,
        )
    # The rate of results was measured on dense networks.
    return {name: changes[name] for name in changes if supernet.name == "elastic-resnet" or name != _RATE}


def effective(changes: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the changes of the supernet and of its steps that the user's own settings have not replaced."""
    values = {f"supernet.{name}": value for name, value in settings.supernet.options.items()}
    values["training.backbones"] = settings.training.backbones
    return {name: value for name, value in changes.items() if name in values and values[name] == value}
