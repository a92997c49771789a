"""The implementations of all plugins by kind and name, with owners, options and factories."""

import functools
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple, get_args

from edanas.core.config import toml_value
from edanas.core.contracts import Bundle
from edanas.core.convert import Place, convert, describe
from edanas.core.errors import ConfigError, EdanasError, PluginError, near_miss, type_of
from edanas.core.hookspecs import KINDS, Kind
from edanas.core.settings import Component
from edanas.plugins.manager import RESTRICTION, Plugin, PluginHost, explain
from edanas.plugins.nested import as_written, components_in, filled_in, kind_in
from edanas.plugins.signatures import REST, Parameter, parameters

SETTING = {
    "supernet provider": "supernet",
    "exit classifier": "classifier",
    "confidence criterion": "criterion",
    "inference rule": "inference",
    "threshold setter": "final_thresholds",
    "surrogate model": "surrogates",
    "objective": "objectives",
    "constraint": "constraints",
    "search strategy": "strategy",
    "training scheme": "scheme",
    "data set": "data",
    "evaluation": "evaluation",
    "executor": "executor",
    "exporter": "exports",
    "logger": "loggers",
    "bundle": "plugin",
}
"""The setting that chooses each kind of extension; error messages begin with the setting."""

GIVEN = {"surrogate model": {"seed"}}
"""Arguments of factories by kind that the run passes; settings cannot set these arguments."""

_KINDS = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Entry:
    """One implementation of a plugin.

    Args:
        kind: Name of the kind, one of `KINDS`.
        name: Name of the implementation in settings.
        owner: Name of the distribution that contains the plugin.
        version: Version of the distribution.
        doc: Description: the first paragraph of the factory's docstring, or `Bundle.doc`.
        factory: The class or function that returns the implementation; for a bundle, the `Bundle` itself.
        plugin: The plugin that registers the implementation.
    """

    kind: str
    name: str
    owner: str
    version: str
    doc: str
    factory: Any
    plugin: Plugin


class Conflict(NamedTuple):
    """Two implementations of one kind with the same name, from different plugins."""

    first: Entry
    second: Entry

    def message(self, host: PluginHost) -> str:
        """Return a message that names both plugins, and the ways to leave out one plugin."""
        loser = self.first.plugin if self.second.plugin.built_in else self.second.plugin
        rest = ",".join(p.name for p in host.plugins if not p.built_in and p.name != loser.name)
        return (
            f"{self.first.kind} '{self.first.name}' is claimed by both {self.first.plugin} and "
            f"{self.second.plugin}. Uninstall one of them, or leave it out with {RESTRICTION}, "
            f'e.g. {RESTRICTION}="{rest}".'
        )


@dataclass(frozen=True)
class Catalog:
    """The implementations of all plugins.

    Args:
        entries: All implementations, ordered by kind and name.
        conflicts: Pairs of implementations of one kind with the same name.
    """

    entries: tuple[Entry, ...]
    conflicts: tuple[Conflict, ...]


def catalog(host: PluginHost) -> Catalog:
    """Collect the implementations of every plugin.

    A plugin is recorded as broken and unloaded if one of its hooks fails or returns an invalid value.
    """
    entries: list[Entry] = []
    for plugin in host.plugins:
        try:
            new = [entry for kind in KINDS for entry in _offers(host, plugin, kind)]
        except (Exception, SystemExit) as error:
            host.reject(plugin, str(error) if isinstance(error, PluginError) else explain(error))
        else:
            entries += new
    first: dict[tuple[str, str], Entry] = {}
    conflicts = []
    for entry in entries:
        holder = first.setdefault((entry.kind, entry.name), entry)
        if holder is not entry:
            conflicts.append(Conflict(holder, entry))
    order = {kind.name: position for position, kind in enumerate(KINDS)}
    entries.sort(key=lambda entry: (order[entry.kind], entry.name))
    return Catalog(tuple(entries), tuple(conflicts))


class Registry:
    """The implementations of all plugins, and the creation of objects from components.

    Args:
        host: The loaded plugins. A plugin is unloaded if one of its hooks fails or returns an invalid value.

    Example:
        >>> from edanas.plugins.manager import load_plugins
        >>> registry = Registry(load_plugins())
        >>> "score-margin" in registry.names("confidence criterion")
        True
        >>> type(registry.create("exit classifier", "pool-linear")).__name__
        'PoolLinear'
    """

    def __init__(self, host: PluginHost) -> None:
        offers = catalog(host)
        self.host = host
        self._entries = {(entry.kind, entry.name): entry for entry in offers.entries}
        self._conflicts = {(each.first.kind, each.first.name): each for each in offers.conflicts}

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Return the implementations of `kind`, or of all kinds for `None`, ordered by kind and name."""
        return [entry for entry in self._entries.values() if kind in (None, entry.kind)]

    def names(self, kind: str) -> list[str]:
        """Return the names of all implementations of `kind`."""
        return [entry.name for entry in self.entries(kind)]

    def entry(self, kind: str, name: str) -> Entry:
        """Return one implementation.

        Args:
            kind: Name of the kind, one of `KINDS`.
            name: Name of the implementation.

        Raises:
            ConfigError: The name is unknown; the message lists all names with their distributions.
            PluginError: Two plugins claim the name; the message names both.
        """
        known = _KINDS[kind].name, name
        if known in self._conflicts:
            raise PluginError(self._conflicts[known].message(self.host))
        if known in self._entries:
            return self._entries[known]
        near = get_close_matches(name.partition(":")[0], self.names(kind), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        names = ", ".join(f"{entry.name} ({entry.owner})" for entry in self.entries(kind)) or "nothing"
        broken = ", ".join(dict.fromkeys(broken.plugin.name for broken in self.host.broken))
        rest = f" These plugins are broken (see `edanas plugins`): {broken}." if broken else ""
        raise ConfigError(f"{SETTING[kind]}: unknown {kind} '{name}'.{hint} Allowed: {names}.{rest}")

    def spelled_out(self, kind: str, component: Component, leading: int = 0) -> Component:
        """Turn the component `name:argument`, e.g. `timm:resnet18`, into `name` with a value for an option.

        The first option of the implementation gets the argument. Other components are returned unchanged.

        Args:
            kind: Name of the kind, one of `KINDS`.
            component: A component of the settings.
            leading: Number of leading arguments of the factory that are not options; default 0.

        Raises:
            ConfigError: The implementation has no option for the argument, or the option has a value already.
        """
        name, colon, argument = component.name.partition(":")
        if not colon or (kind, component.name) in self._entries or (kind, name) not in self._entries:
            return component
        known = self.parameters(kind, name, leading)
        excluded = {REST, *GIVEN.get(kind, ())}
        option = next((each for each in known if each not in excluded), None)
        if option is None:
            raise ConfigError(f"{SETTING[kind]}: {kind} '{name}' has no option that '{argument}' could set")
        if option in component.options:
            raise ConfigError(
                f"{SETTING[kind]}.{option}: found {component.options[option]!r}, but '{component.name}' sets "
                "this option, too"
            )
        annotation = known[option].annotation
        is_text = str in (annotation, *get_args(annotation))
        value = argument if is_text else toml_value(argument)
        return Component(name, {option: value, **component.options})

    def bundle(self, name: str) -> Bundle:
        """Return one bundle by its name.

        Raises:
            ConfigError: The name is unknown; see `entry`.
        """
        bundle: Bundle = self.entry("bundle", name).factory
        return bundle

    def parameters(self, kind: str, name: str, leading: int = 0) -> dict[str, Parameter]:
        """Return the options of one implementation: annotation and default by name.

        Args:
            kind: Name of the kind, one of `KINDS` except `bundle`.
            name: Name of the implementation.
            leading: Number of leading arguments of the factory that the caller passes and that are therefore
                no options; default 0.

        Raises:
            ConfigError: The name is unknown; see `entry`.
        """
        return parameters(self.entry(kind, name).factory, leading)

    def check(self, kind: str, name: str, options: Mapping[str, Any], leading: int = 0) -> dict[str, Any]:
        """Return the options, converted to the types of the factory's annotations; do not call the factory.

        An option that is an implementation itself stays a `Component`, whose options are checked, too.

        Args:
            kind: Name of the kind, one of `KINDS` except `bundle`.
            name: Name of the implementation, or `name:argument`; see `spelled_out`.
            options: Values of options by name, as in settings.
            leading: Number of leading arguments of the factory that are not options; default 0.

        Raises:
            ConfigError: The name is unknown, or an option is unknown, missing or of the wrong type.
        """
        name, options = self._read(kind, name, options, leading)
        known, path = self.parameters(kind, name, leading), SETTING[kind]
        values: dict[str, Any] = {}
        for option, value in options.items():
            if option not in known and "**" not in known:
                allowed = near_miss(option, (each for each in known))
                raise ConfigError(f"{path}.{option}: {kind} '{name}' has no such option.{allowed}")
            annotation = known[option].annotation if option in known else Any
            values[option] = convert(value, as_written(annotation), Place(f"{path}.{option}"))
            if inner := kind_in(annotation):
                with _inside(f"{path}.{option}", inner):
                    for component in components_in(values[option]):
                        self.check(inner.name, component.name, component.options)
        for option, parameter in known.items():
            if parameter.required and option not in values:
                expected = describe(as_written(parameter.annotation))
                raise ConfigError(f"{path}.{option}: {kind} '{name}' needs it: expected {expected}")
        return values

    def create(self, kind: str, name: str, options: Mapping[str, Any] | None = None, *args: Any) -> Any:
        """Call the factory with `args` and the checked `options`, and return the object that it makes.

        Args:
            kind: Name of the kind, one of `KINDS` except `bundle`.
            name: Name of the implementation, or `name:argument`; see `spelled_out`.
            options: Values of options by name, as in settings; `None`, the default, means none.
            args: Leading arguments of the factory.

        Raises:
            ConfigError: The name or an option is wrong; see `check`.
            PluginError: The factory raises another error than an `EdanasError`, or returns an object of
                another class than the kind's contract.
        """
        name, options = self._read(kind, name, options or {}, len(args))
        entry = self.entry(kind, name)
        try:
            values = self.check(kind, name, options, len(args))
            known = self.parameters(kind, name, len(args))
            path = SETTING[kind]
            filled = {k: self._filled(f"{path}.{k}", known.get(k), v) for k, v in values.items()}
            created = entry.factory(*args, **filled)
        except EdanasError:
            raise
        except Exception as error:
            raise PluginError(f"plugin {entry.plugin}: {kind} '{name}' raised {explain(error)}") from error
        contract = _KINDS[kind].contract
        if not isinstance(created, contract):
            raise PluginError(
                f"plugin {entry.plugin}: {kind} '{name}' made {type_of(created)}; "
                f"expected a {contract.__name__}"
            )
        return created

    def _read(
        self, kind: str, name: str, options: Mapping[str, Any], leading: int
    ) -> tuple[str, Mapping[str, Any]]:
        spelled = self.spelled_out(kind, Component(name, dict(options)), leading)
        return spelled.name, spelled.options

    def _filled(self, path: str, parameter: Parameter | None, value: Any) -> Any:
        """Return an option's value with an object in place of each component."""
        kind = kind_in(parameter.annotation) if parameter else None
        if not kind:
            return value
        with _inside(path, kind):
            return filled_in(value, lambda each: self.create(kind.name, each.name, each.options))


@contextmanager
def _inside(path: str, kind: Kind) -> Iterator[None]:
    """Let errors about a component of `kind` begin with `path`, the option that holds the component."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{path}{str(error).removeprefix(SETTING[kind.name])}") from error


def _offers(host: PluginHost, plugin: Plugin, kind: Kind) -> Iterator[Entry]:
    try:
        results = host.call(plugin, kind.hook)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{kind.hook} raised {explain(error)}") from error
    for offers in results:
        if not isinstance(offers, Mapping):
            raise PluginError(f"{kind.hook} returned {type_of(offers)}; expected names to factories")
        for name, factory in offers.items():
            if not isinstance(name, str) or not name:
                raise PluginError(f"{kind.hook} returned the name {name!r}; expected text")
            good = isinstance(factory, Bundle) if kind.contract is Bundle else callable(factory)
            if not good:
                expected = "a Bundle" if kind.contract is Bundle else "a class or function"
                raise PluginError(f"{kind.hook}: '{name}' is {type_of(factory)}; expected {expected}")
            yield Entry(kind.name, name, plugin.owner, plugin.version, _doc(factory), factory, plugin)


def _doc(factory: Any) -> str:
    if isinstance(factory, Bundle):
        return factory.doc
    function = factory.func if isinstance(factory, functools.partial) else factory
    text = inspect.cleandoc(getattr(function, "__doc__", None) or "")
    return text.split("\n\n")[0].replace("\n", " ") if text else ""
