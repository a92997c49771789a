"""Layers of settings -> the settings of a run, in which every name and option exists."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edanas.core.config import Layer, parse_assignment, read_toml, resolve
from edanas.core.contracts import SupernetProvider
from edanas.core.devices import device_of
from edanas.core.errors import ConfigError, near_miss
from edanas.core.settings import Component, Settings
from edanas.data.auto_preset import auto_settings, choice_sentences, split_shares, survey
from edanas.plugins.blame import blamed
from edanas.plugins.data_sets import FOLDER, data_component
from edanas.plugins.registry import SETTING, Registry

TAKEN = {"evaluation": 1}
"""Kinds whose factories get something from the run before their options."""

ARGUMENTS = "the arguments"
"""Origin of the layer that flags and keyword arguments make."""

AUTO = "auto"
"""The preset that what is in a folder of images is laid over."""

QUICK = "quick"
"""The preset that is named to those who cannot wait."""


def layered_settings(
    registry: Registry, layers: Sequence[Layer], say: Callable[[str], None] = lambda _: None
) -> Settings:
    """The settings of a run: defaults, the bundle, its preset, then `layers`.

    Where no layer names a preset, it is `auto` for a folder of images, if the bundle has that one, and else
    the bundle's first.

    Args:
        registry: Knows the bundles.
        layers: The user's, e.g. a file, `--set` and flags; the last one that says so names bundle and preset.
        say: Told what the preset `auto` chose, and why.

    Raises:
        ConfigError: A layer is wrong, or the bundle or preset is unknown.
        DataError: The preset is `auto`, and the folder that is named is none of class folders.
        PluginError: The preset is `auto`, and the supernet's plugin raises something.
    """
    # Alone, the user's layers need not be complete: shares, say, may only sum to 1 with the bundle's.
    named = resolve([(origin, _only(table, ("plugin", "preset"))) for origin, table in layers])
    bundle = registry.bundle(named.plugin)
    presets = list(bundle.presets)
    below: list[Layer] = [(f"bundle '{named.plugin}'", bundle.settings)]
    preset = named.preset or _unnamed(registry, presets, [*below, *layers])
    if preset and preset not in bundle.presets:
        raise ConfigError(
            f"preset: bundle '{named.plugin}' has no preset '{preset}'.{near_miss(preset, presets)}"
        )
    if preset:
        below.append((f"preset '{preset}'", bundle.presets[preset]))
    own: Layer = ("the preset's name", {"preset": preset})
    settings = resolve([*below, *layers, own])
    folder = _folder(registry, settings.data) if preset == AUTO else None
    found = None if folder is None else survey(folder)
    if found is not None:
        split = settings.split if _says(layers, "split") else split_shares(found.pool)
        suits: Layer = (f"what suits {folder}", auto_settings(found, split))
        settings = resolve([*below, suits, *layers, own])
    settings = _spelled_out(registry, settings)
    check_names(registry, settings)
    if found is not None:
        first, *others = choice_sentences(found, settings, _sides(registry, settings.supernet))
        quick = "" if named.preset or QUICK not in presets else f" `--preset {QUICK}` takes minutes."
        for line in (f"Settings that suit {folder} (preset '{AUTO}'): {first}{quick}", *others):
            say(line)
    return settings


def _unnamed(registry: Registry, presets: Sequence[str], layers: Sequence[Layer]) -> str:
    """The preset to take where none is named; empty where there is none."""
    if AUTO in presets:
        data = resolve([(origin, _only(table, ("data",))) for origin, table in layers]).data
        if _folder(registry, data) is not None:
            return AUTO
    return presets[0] if presets else ""


def _folder(registry: Registry, data: Component) -> Path | None:
    """The folder of images that `data` names; `None` where it names another data set.

    Raises:
        ConfigError: It is neither a name nor the path of something that exists.
    """
    found = data_component(registry, _spelled(registry, "data set", data))
    path = found.options.get("path")
    return Path(str(path)).expanduser() if found.name == FOLDER and path else None


def _sides(registry: Registry, supernet: Component) -> tuple[int, ...]:
    """Sides in pixels of the images that the networks of a supernet read, which need not be options of it.

    Raises:
        ConfigError: An option is out of range.
        PluginError: The supernet's plugin raises something.
    """
    with blamed(registry):
        provider: SupernetProvider = registry.create("supernet provider", supernet.name, supernet.options)
        read = [each.choices for each in provider.variables() if each.name == "resolution"]
    return tuple(int(side) for choices in read for side in choices if side is not None)


def _spelled_out(registry: Registry, settings: Settings) -> Settings:
    """The settings with every `name:argument` as a name and an option, so that equal ones compare equal."""
    changes: dict[str, Any] = {}
    for kind, path in SETTING.items():
        value = getattr(settings, path)
        if isinstance(value, Component):
            changes[path] = _spelled(registry, kind, value)
        elif isinstance(value, tuple):
            changes[path] = tuple(_spelled(registry, kind, each) for each in value)
    return replace(settings, **changes)


def _spelled(registry: Registry, kind: str, component: Component) -> Component:
    if kind == "data set" and Path(component.name).expanduser().exists():
        return component
    return registry.spelled_out(kind, component, TAKEN.get(kind, 0))


def _only(table: Any, names: Sequence[str]) -> Any:
    """What a layer says about `names`; what is no table at all stays, to be refused with its layer's name."""
    if not isinstance(table, Mapping):
        return table
    return {key: value for key, value in table.items() if str(key).partition(".")[0] in names}


def _says(layers: Sequence[Layer], name: str) -> bool:
    return any(_only(table, (name,)) for _, table in layers)


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


def user_layers(
    flags: Mapping[str, Any],
    settings: Mapping[str, Any] | Sequence[str] = (),
    config: str | Path | None = None,
) -> list[Layer]:
    """A user's settings in the order in which they count: a file, assignments, then flags not `None`.

    Raises:
        ConfigError: The file cannot be read, or an assignment is not `key=value`.
    """
    found: list[Layer] = []
    if config is not None:
        found.append((str(config), read_toml(Path(config))))
    if isinstance(settings, Mapping):
        found.append(("settings", settings))
    else:
        found.extend(("--set", parse_assignment(text)) for text in settings)
    found.append((ARGUMENTS, {name: value for name, value in flags.items() if value is not None}))
    return found
