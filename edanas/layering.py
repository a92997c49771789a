"""Layers of settings -> the settings of a run, in which every name and option exists."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edanas.core.config import Layer, resolve
from edanas.core.errors import ConfigError, near_miss
from edanas.core.settings import Component, Settings
from edanas.data.suiting import suited, survey
from edanas.devices import device_of
from edanas.plugins.registry import SETTING, Registry

TAKEN = {"evaluation": 1}
"""Kinds whose factories get something from the run before their options."""

AUTO = "auto"
"""The preset that what is in a folder of images is laid over."""


def layered_settings(registry: Registry, layers: Sequence[Layer]) -> Settings:
    """The settings of a run: defaults, the bundle, its preset, then `layers`.

    Args:
        registry: Knows the bundles.
        layers: The user's, e.g. a file, `--set` and flags; the last one that says so names bundle and preset.

    Raises:
        ConfigError: A layer is wrong, or the bundle or preset is unknown.
    """
    # Alone, the user's layers need not be complete: shares, say, may only sum to 1 with the bundle's.
    named = resolve([(origin, _only(table, ("plugin", "preset"))) for origin, table in layers])
    bundle = registry.bundle(named.plugin)
    presets = list(bundle.presets)
    preset = named.preset or (presets[0] if presets else "")
    if preset and preset not in bundle.presets:
        raise ConfigError(
            f"preset: bundle '{named.plugin}' has no preset '{preset}'.{near_miss(preset, presets)}"
        )
    below: list[Layer] = [(f"bundle '{named.plugin}'", bundle.settings)]
    if preset:
        below.append((f"preset '{preset}'", bundle.presets[preset]))
    own: Layer = ("the preset's name", {"preset": preset})
    settings = resolve([*below, *layers, own])
    if preset == AUTO:
        settings = resolve([*below, _suited(registry, settings), *layers, own])
    settings = _spelled_out(registry, settings)
    check_names(registry, settings)
    return settings


def _suited(registry: Registry, settings: Settings) -> Layer:
    """What suits the images of the folder that the settings name; nothing where they name a data set.

    Raises:
        DataError: It is no folder of class folders.
    """
    data = data_component(registry, settings.data)
    if data.name != "folder":
        return f"preset '{AUTO}'", {}
    folder = Path(str(data.options["path"])).expanduser()
    return f"what suits {folder}", suited(survey(folder), settings.split.train)


def _spelled_out(registry: Registry, settings: Settings) -> Settings:
    """The settings with every `name:argument` as a name and an option, so that equal ones compare equal."""

    def spelled(kind: str, component: Component) -> Component:
        if kind == "data set" and Path(component.name).expanduser().exists():
            return component
        return registry.spelled_out(kind, component, TAKEN.get(kind, 0))

    changes: dict[str, Any] = {}
    for kind, path in SETTING.items():
        value = getattr(settings, path)
        if isinstance(value, Component):
            changes[path] = spelled(kind, value)
        elif isinstance(value, tuple):
            changes[path] = tuple(spelled(kind, each) for each in value)
    return replace(settings, **changes)


def _only(table: Any, names: Sequence[str]) -> Any:
    """What a layer says about `names`; what is no table at all stays, to be refused with its layer's name."""
    return {name: table[name] for name in names if name in table} if isinstance(table, Mapping) else table


def check_names(registry: Registry, settings: Settings) -> None:
    """Every name and option of `settings` exists, the device too.

    Raises:
        ConfigError: One does not.
    """
    for kind, component in _chosen(registry, settings):
        registry.check(kind, component.name, component.options, TAKEN.get(kind, 0))
    device_of(settings)


def _chosen(registry: Registry, settings: Settings) -> Iterator[tuple[str, Component]]:
    """Each implementation that the settings name, with its kind."""
    for kind, path in SETTING.items():
        value = getattr(settings, path)
        if kind == "data set":
            yield kind, data_component(registry, value)
        elif isinstance(value, Component):
            yield kind, value
        elif isinstance(value, tuple):
            yield from ((kind, each) for each in value)


def data_component(registry: Registry, data: Component) -> Component:
    """`data` as a registered data set; a path becomes the set `folder`.

    Raises:
        ConfigError: It is neither a name nor the path of something that exists.
    """
    if data.name in registry.names("data set"):
        return data
    path = Path(data.name).expanduser()
    if path.exists() or len(path.parts) > 1:
        return Component("folder", {"path": str(path), **data.options})
    hint = near_miss(data.name, registry.names("data set"))
    raise ConfigError(f"data: '{data.name}' is neither a data set nor a folder that exists.{hint}")
