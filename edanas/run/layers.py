"""Layers of settings, and the settings of a run that result from them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edanas.core.config import Layer, parse_assignment, read_toml, resolve
from edanas.core.contracts import DataSource, SupernetProvider
from edanas.core.devices import device_of
from edanas.core.errors import ConfigError, near_miss
from edanas.core.machine import user_path
from edanas.core.settings import Component, Settings
from edanas.core.types import Survey
from edanas.data.auto_preset import auto_settings, choice_sentences, image_side, split_shares
from edanas.data.family import bundle_for, for_supernet
from edanas.data.series_preset import series_settings
from edanas.data.space_for_memory import memory_sentence
from edanas.data.space_for_time import time_sentence
from edanas.plugins.blame import blamed
from edanas.plugins.data_sets import data_component
from edanas.plugins.registry import SETTING, Registry
from edanas.run.fitted_space import (
    changes_for_memory,
    changes_for_time,
    effective,
    for_microcontroller,
)
from edanas.run.head_sizes import scaled_classifier
from edanas.run.image_sizes import sized_supernet
from edanas.run.paths import with_absolute_paths

RUN_ARGUMENTS = {"evaluation": 1}
"""The number of arguments that the run passes to factories before their options, by kind; 0 by default."""

ARGUMENTS = "the arguments"
"""The name, in messages, of the layer that flags and keyword arguments form."""

AUTO = "auto"
"""The name of the default preset of a user's data."""

ADAPTED = (AUTO, "microcontroller")
"""The names of the presets whose settings are adapted to a user's data."""

_FAMILY = ("plugin", "supernet", "weights")
"""The settings that decide on the family of networks; without them the images in a folder decide."""

QUICK = "quick"
"""The name of the preset that a message recommends for a short run."""


DEFAULT_TIME = 1800.0
"""The time limit in seconds of a run on a folder of images for which no preset is named."""


def layered_settings(
    registry: Registry,
    layers: Sequence[Layer],
    say: Callable[[str], None] = lambda _: None,
    *,
    whole_run: bool = False,
) -> Settings:
    """Return the settings of a run: defaults, overridden by the bundle, its preset and `layers`, in order.

    If no layer names a preset, the preset is `auto` for a folder of images if the bundle has that preset,
    otherwise the bundle's first preset. If the preset is `auto` and no layer names a bundle, a supernet or
    weights, the side of the images decides on the bundle.

    Args:
        registry: The extensions by kind and name.
        layers: The layers of the user, e.g. a file, `--set` and flags. A later layer overrides an earlier
            layer.
        say: Called with each sentence on the choices of the preset `auto`; by default, sentences are dropped.
        whole_run: True for the settings of a whole run. It has a time limit of `DEFAULT_TIME` if the folder
            of images selects the preset `auto`. A layer that sets a preset or `training.epochs` prevents it.

    Raises:
        ConfigError: A layer is wrong, or a bundle, preset, name, option or device does not exist.
        DataError: The preset is `auto`, and the named folder holds no class folders.
        PluginError: The preset is `auto`, and the supernet's plugin raises an error.

    Example:
        >>> from edanas.plugins.manager import load_plugins
        >>> registry = Registry(load_plugins())
        >>> settings = layered_settings(registry, user_layers({"preset": "quick", "seed": 3}))
        >>> settings.plugin, settings.preset, settings.seed
        ('mbv3-sm', 'quick', 3)
    """
    # A layer of the user may be invalid alone, e.g. shares of the split that sum to 1 only with the bundle.
    named = resolve([(origin, _restricted(table, ("plugin", "preset"))) for origin, table in layers])
    own_data, reason, limits = _OwnData(registry), "", ""
    data = own_data.component(_data(layers))
    if data and named.preset in ("", *ADAPTED) and not any(_has_setting(layers, name) for name in _FAMILY):
        # A wrong setting of the user is an error before any image is opened.
        resolve([*_below(registry, named.plugin, named.preset or AUTO), *layers])
        plugin, reason = bundle_for(own_data.survey(data))
        named = replace(named, plugin=plugin)
    presets = list(registry.bundle(named.plugin).presets)
    below = _below(registry, named.plugin)
    preset = named.preset or _default_preset(registry, presets, [*below, *layers])
    below = _below(registry, named.plugin, preset)
    own: Layer = ("the chosen bundle and preset", {"plugin": named.plugin, "preset": preset})
    settings = resolve([*below, *layers, own])
    factory = registry.entry(
        "supernet provider", _spelled(registry, "supernet provider", settings.supernet).name
    ).factory
    classifies_series = bool(getattr(factory, "series", False))
    adapts = preset in ADAPTED or classifies_series
    data = own_data.component(settings.data) if adapts else None
    images = None if data is None else own_data.survey(data)
    place = str(data.options.get("path", "the arrays")) if data else ""
    if images is not None:
        split = settings.split if _has_setting(layers, "split") else split_shares(images.pool)
        if bool(images.length) != classifies_series:
            suited = {}  # an error once the data is read
        elif images.length:
            suited = series_settings(images, split, only_lengths=preset not in ADAPTED)
        else:
            small = for_microcontroller(registry, settings)
            whitens = settings.classifier.name == "pool-linear" and not settings.weights
            suited = for_supernet(
                auto_settings(images, split),
                settings.supernet.name,
                images,
                microcontroller=small,
                whitens=whitens,
            )
        automatic: Layer = (f"the samples in {place}", suited)
        limit: Layer = ("the default time", {"time_limit": DEFAULT_TIME})
        has_length = named.preset or any(map(_sets_epochs, layers))
        timed = [limit] if whole_run and not has_length else []
        settings = resolve([*below, automatic, *timed, *layers, own])
        memory: Layer = ("the limits of memory", {})
        if preset in ADAPTED and not images.length and not settings.weights:
            memory = (memory[0], changes_for_memory(registry, settings, images))
            settings = resolve([*below, automatic, memory, *timed, *layers, own])
            limits = memory_sentence(effective(memory[1], settings))
        if preset in ADAPTED and not images.length and settings.time_limit and not settings.weights:
            changes = changes_for_time(registry, settings, images)
            fitted: Layer = ("the time limit", changes)
            settings = resolve([*below, automatic, memory, fitted, *timed, *layers, own])
            limits += f" {time_sentence(effective(changes, settings), settings.time_limit)}"
    settings = _spelled_out(registry, settings)
    base = resolve([*below, *([automatic] if images is not None else [])])
    supernet = sized_supernet(registry, settings.supernet, base.supernet, own_data.side(settings))
    classifier = scaled_classifier(registry, settings.classifier, supernet, base.classifier)
    settings = replace(settings, supernet=supernet, classifier=classifier)
    check_names(registry, settings)
    if images is not None and bool(images.length) == classifies_series:
        first, *others = choice_sentences(images, settings, _sides(registry, settings.supernet))
        quick = "" if named.preset or QUICK not in presets else f" `--preset {QUICK}` takes minutes."
        for line in (
            reason,
            f"Settings that suit {place} (preset '{preset}'): {first}{quick}",
            limits.strip(),
            *others,
        ):
            if line:
                say(line)
    return with_absolute_paths(registry, settings)


def _below(registry: Registry, plugin: str, preset: str = "") -> list[Layer]:
    """Return the layers below those of the user: a bundle, and its preset if `preset` is not empty.

    Raises:
        ConfigError: The bundle or the preset does not exist.
    """
    bundle = registry.bundle(plugin)
    layers: list[Layer] = [(f"bundle '{plugin}'", bundle.settings)]
    if preset:
        if preset not in bundle.presets:
            miss = near_miss(preset, list(bundle.presets))
            raise ConfigError(f"preset: bundle '{plugin}' has no preset '{preset}'.{miss}")
        layers.append((f"preset '{preset}'", bundle.presets[preset]))
    return layers


def _default_preset(registry: Registry, presets: Sequence[str], layers: Sequence[Layer]) -> str:
    """Return the name of the preset if no layer names a preset; empty if the bundle has no presets."""
    if AUTO in presets and _OwnData(registry).component(_data(layers)) is not None:
        return AUTO
    return presets[0] if presets else ""


def _data(layers: Sequence[Layer]) -> Component:
    return resolve([(origin, _restricted(table, ("data",))) for origin, table in layers]).data


class _OwnData:
    """The surveys of the user's data, each made once.

    Args:
        registry: The extensions by kind and name.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry, self.surveys = registry, dict[str, Survey]()

    def component(self, data: Component) -> Component | None:
        """Return the component of data that can be surveyed; `None` for other data sets, e.g. `digits`.

        Raises:
            ConfigError: `data` is neither the name of a data set nor an existing path.
        """
        component = data_component(self.registry, _spelled(self.registry, "data set", data))
        factory = self.registry.entry("data set", component.name).factory
        return component if getattr(factory, "surveyed", False) and component.options else None

    def survey(self, component: Component) -> Survey:
        """Return the survey of a data set.

        Raises:
            DataError: The data cannot be read.
        """
        key = repr(component)
        if key not in self.surveys:
            source: DataSource = self.registry.create("data set", component.name, component.options)
            self.surveys[key] = source.survey()
        return self.surveys[key]

    def side(self, settings: Settings) -> Callable[[], int]:
        """Return a function for the side in pixels at which networks read images by default; 0 = unknown.

        It is the side of the images. For `auto`, it is that of the bundle's networks, unless weights are set.
        """

        def known() -> int:
            component = self.component(settings.data)
            if component is not None:
                images = self.survey(component)
                limited = settings.preset == AUTO and not settings.weights
                return image_side(images) if limited else 0 if images.length else images.side
            name = data_component(self.registry, _spelled(self.registry, "data set", settings.data)).name
            return int(getattr(self.registry.entry("data set", name).factory, "image_side", 0))

        return known


def _sides(registry: Registry, supernet: Component) -> tuple[int, ...]:
    """Return the possible sides, in pixels, of the input images of a supernet's backbones.

    Raises:
        ConfigError: An option of the supernet is out of range.
        PluginError: The supernet's plugin raises an error.
    """
    with blamed(registry):
        provider: SupernetProvider = registry.create("supernet provider", supernet.name, supernet.options)
        resolutions = [each.choices for each in provider.variables() if each.name == "resolution"]
    return tuple(int(side) for choices in resolutions for side in choices if side is not None)


def _spelled_out(registry: Registry, settings: Settings) -> Settings:
    """Return the settings with each text `name:argument` replaced by a name and an option."""
    changes: dict[str, Any] = {}
    for kind, path in SETTING.items():
        value = getattr(settings, path)
        if isinstance(value, Component):
            changes[path] = _spelled(registry, kind, value)
        elif isinstance(value, tuple):
            changes[path] = tuple(_spelled(registry, kind, each) for each in value)
    return replace(settings, **changes)


def _spelled(registry: Registry, kind: str, component: Component) -> Component:
    if kind == "data set" and user_path(component.name).exists():
        return component
    return registry.spelled_out(kind, component, RUN_ARGUMENTS.get(kind, 0))


def _restricted(table: Any, names: Sequence[str]) -> Any:
    """Return the entries of a layer for the settings `names`; return any layer but a table unchanged."""
    if not isinstance(table, Mapping):
        return table
    return {key: value for key, value in table.items() if str(key).partition(".")[0] in names}


def _has_setting(layers: Sequence[Layer], name: str) -> bool:
    return any(_restricted(table, (name,)) for _, table in layers)


def _sets_epochs(layer: Layer) -> bool:
    """Return true if a layer sets `training.epochs`, as a dotted name or in a table."""
    table = _restricted(layer[1], ("training",))
    if not isinstance(table, Mapping):
        return False
    training = table.get("training")
    return "training.epochs" in table or (isinstance(training, Mapping) and "epochs" in training)


def check_names(registry: Registry, settings: Settings) -> None:
    """Check that every implementation and option in the settings exists, and the device.

    Raises:
        ConfigError: A name, an option or the device does not exist.
    """
    for kind, component in _implementations(registry, settings):
        registry.check(kind, component.name, component.options, RUN_ARGUMENTS.get(kind, 0))
    device_of(settings)


def _implementations(registry: Registry, settings: Settings) -> Iterator[tuple[str, Component]]:
    """Yield the kind and the component of each implementation that the settings name."""
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
    """Return the layers of the user: the file, then `settings`, then the flags that are not `None`.

    Args:
        flags: Values of settings by name, e.g. `search.max_evals`; `None` leaves a setting as it is.
        settings: Further settings, as a mapping or as texts `key=value`; none by default.
        config: A TOML file of settings; `None` for no file.

    Raises:
        ConfigError: The file cannot be read, or a text is not `key=value`.

    Example:
        >>> user_layers({"seed": 3, "device": None})
        [('the arguments', {'seed': 3})]
    """
    layers: list[Layer] = []
    if config is not None:
        layers.append((str(config), read_toml(Path(config))))
    if isinstance(settings, Mapping):
        layers.append(("settings", settings))
    else:
        layers.extend(("--set", parse_assignment(text)) for text in settings)
    layers.append((ARGUMENTS, {name: value for name, value in flags.items() if value is not None}))
    return layers
