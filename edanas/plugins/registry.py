"""What the plugins offer, by kind and name: who owns it, what its options are, and how it is made."""

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
from edanas.core.errors import ConfigError, EdanasError, PluginError, near_miss
from edanas.core.hookspecs import KINDS, Kind
from edanas.core.settings import Component
from edanas.plugins.manager import RESTRICTION, Plugin, PluginHost, explain
from edanas.plugins.nested import as_written, found_in, kind_in, made
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
"""The setting that chooses each kind; errors start with it."""

GIVEN = {"surrogate model": {"seed"}}
"""Arguments that look like options, but are the run's to set."""

_KINDS = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Entry:
    """One name that a plugin offers.

    Args:
        kind: A name in `KINDS`.
        owner: The distribution that brings it.
        doc: One line.
        factory: What makes it; for a bundle, the `Bundle` itself.
        plugin: The plugin that brings it.
    """

    kind: str
    name: str
    owner: str
    version: str
    doc: str
    factory: Any
    plugin: Plugin


class Conflict(NamedTuple):
    """Two plugins that claim one name."""

    first: Entry
    second: Entry

    def message(self, host: PluginHost) -> str:
        """Who they are, and how to go on without one of them."""
        loser = self.first.plugin if self.second.plugin.built_in else self.second.plugin
        rest = ",".join(p.name for p in host.plugins if not p.built_in and p.name != loser.name)
        return (
            f"{self.first.kind} '{self.first.name}' is claimed by both {self.first.plugin} and "
            f"{self.second.plugin}. Uninstall one of them, or leave it out with {RESTRICTION}, "
            f'e.g. {RESTRICTION}="{rest}".'
        )


@dataclass(frozen=True)
class Catalog:
    """Everything on offer, and the names that more than one plugin claims."""

    entries: tuple[Entry, ...]
    conflicts: tuple[Conflict, ...]


def catalog(host: PluginHost) -> Catalog:
    """Ask every plugin for what it offers. One whose answer is wrong is rejected as broken, whole."""
    found: list[Entry] = []
    for plugin in host.plugins:
        try:
            offered = [entry for kind in KINDS for entry in _offered(host, plugin, kind)]
        except (Exception, SystemExit) as error:
            host.reject(plugin, str(error) if isinstance(error, PluginError) else explain(error))
        else:
            found += offered
    first: dict[tuple[str, str], Entry] = {}
    conflicts = []
    for entry in found:
        holder = first.setdefault((entry.kind, entry.name), entry)
        if holder is not entry:
            conflicts.append(Conflict(holder, entry))
    order = {kind.name: position for position, kind in enumerate(KINDS)}
    found.sort(key=lambda entry: (order[entry.kind], entry.name))
    return Catalog(tuple(found), tuple(conflicts))


class Registry:
    """The plugins' offers, ready to be made into objects.

    Args:
        host: The loaded plugins; those that answer wrongly are rejected from it.

    Raises:
        PluginError: Two plugins claim one name; the message has both.
    """

    def __init__(self, host: PluginHost) -> None:
        offers = catalog(host)
        if offers.conflicts:
            raise PluginError("\n".join(conflict.message(host) for conflict in offers.conflicts))
        self.host = host
        self._entries = {(entry.kind, entry.name): entry for entry in offers.entries}

    def entries(self, kind: str | None = None) -> list[Entry]:
        """All offers, or those of one kind, by kind and name."""
        return [entry for entry in self._entries.values() if kind in (None, entry.kind)]

    def names(self, kind: str) -> list[str]:
        """The names of one kind."""
        return [entry.name for entry in self.entries(kind)]

    def entry(self, kind: str, name: str) -> Entry:
        """One offer.

        Raises:
            ConfigError: There is none of that name; the message has the near miss, and all names with owners.
        """
        known = _KINDS[kind].name, name
        if known in self._entries:
            return self._entries[known]
        near = get_close_matches(name.partition(":")[0], self.names(kind), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        names = ", ".join(f"{entry.name} ({entry.owner})" for entry in self.entries(kind)) or "nothing"
        broken = ", ".join(dict.fromkeys(broken.plugin.name for broken in self.host.broken))
        rest = f" These plugins are broken (see `edanas plugins`): {broken}." if broken else ""
        raise ConfigError(f"{SETTING[kind]}: unknown {kind} '{name}'.{hint} Allowed: {names}.{rest}")

    def spelled_out(self, kind: str, component: Component, taken: int = 0) -> Component:
        """`name:argument` as a name with its first option, e.g. `timm:resnet18`; any other as it is.

        Args:
            kind: A name in `KINDS`.
            component: As settings hold it.
            taken: As for `parameters`.

        Raises:
            ConfigError: There is no option that the argument could be, or the option is given as well.
        """
        name, colon, argument = component.name.partition(":")
        if not colon or (kind, component.name) in self._entries or (kind, name) not in self._entries:
            return component
        known = self.parameters(kind, name, taken)
        given = {REST, *GIVEN.get(kind, ())}
        option = next((each for each in known if each not in given), None)
        if option is None:
            raise ConfigError(f"{SETTING[kind]}: {kind} '{name}' has no option that '{argument}' could be")
        if option in component.options:
            raise ConfigError(
                f"{SETTING[kind]}.{option}: found {component.options[option]!r}, but '{component.name}' says "
                "it already"
            )
        annotation = known[option].annotation
        is_text = str in (annotation, *get_args(annotation))
        value = argument if is_text else toml_value(argument)
        return Component(name, {option: value, **component.options})

    def bundle(self, name: str) -> Bundle:
        """One bundle, as `entry` finds it."""
        found: Bundle = self.entry("bundle", name).factory
        return found

    def parameters(self, kind: str, name: str, taken: int = 0) -> dict[str, Parameter]:
        """The options of one offer: annotation and default by name.

        Args:
            kind: A name in `KINDS`, not `bundle`.
            name: The offer's name.
            taken: How many leading arguments are no options, since the caller gives them.
        """
        return parameters(self.entry(kind, name).factory, taken)

    def check(self, kind: str, name: str, options: Mapping[str, Any], taken: int = 0) -> dict[str, Any]:
        """`options` converted to what the factory's annotations ask for, without calling it.

        An option that is an implementation itself stays a `Component`, whose own options are checked, too.

        Raises:
            ConfigError: A name or an option is unknown, missing, or of the wrong type.
        """
        name, options = self._read(kind, name, options, taken)
        known, path = self.parameters(kind, name, taken), SETTING[kind]
        values: dict[str, Any] = {}
        for option, value in options.items():
            if option not in known and "**" not in known:
                allowed = near_miss(option, (each for each in known))
                raise ConfigError(f"{path}.{option}: {kind} '{name}' has no such option.{allowed}")
            annotation = known[option].annotation if option in known else Any
            values[option] = convert(value, as_written(annotation), Place(f"{path}.{option}"))
            if inner := kind_in(annotation):
                with _inside(f"{path}.{option}", inner):
                    for component in found_in(values[option]):
                        self.check(inner.name, component.name, component.options)
        for option, parameter in known.items():
            if parameter.required and option not in values:
                wanted = describe(as_written(parameter.annotation))
                raise ConfigError(f"{path}.{option}: {kind} '{name}' needs it: expected {wanted}")
        return values

    def create(self, kind: str, name: str, options: Mapping[str, Any] | None = None, *args: Any) -> Any:
        """Make an object: the factory called with `args` and the checked `options`.

        Raises:
            ConfigError: As `entry` and `check` raise it.
            PluginError: The factory raises what is no `EdanasError`, or makes something that is not of
                the kind's contract.
        """
        name, options = self._read(kind, name, options or {}, len(args))
        entry = self.entry(kind, name)
        try:
            values = self.check(kind, name, options, len(args))
            known = self.parameters(kind, name, len(args))
            path = SETTING[kind]
            filled = {k: self._filled(f"{path}.{k}", known.get(k), v) for k, v in values.items()}
            found = entry.factory(*args, **filled)
        except EdanasError:
            raise
        except Exception as error:
            raise PluginError(f"plugin {entry.plugin}: {kind} '{name}' raised {explain(error)}") from error
        contract = _KINDS[kind].contract
        if not isinstance(found, contract):
            raise PluginError(
                f"plugin {entry.plugin}: {kind} '{name}' made a {type(found).__name__}; "
                f"expected a {contract.__name__}"
            )
        return found

    def _read(
        self, kind: str, name: str, options: Mapping[str, Any], taken: int
    ) -> tuple[str, Mapping[str, Any]]:
        spelled = self.spelled_out(kind, Component(name, dict(options)), taken)
        return spelled.name, spelled.options

    def _filled(self, path: str, parameter: Parameter | None, value: Any) -> Any:
        """An option's value, with objects for the implementations that it names."""
        kind = kind_in(parameter.annotation) if parameter else None
        if not kind:
            return value
        with _inside(path, kind):
            return made(value, lambda each: self.create(kind.name, each.name, each.options))


@contextmanager
def _inside(path: str, kind: Kind) -> Iterator[None]:
    """What is wrong with an implementation of `kind` is said of the option `path`, whose value it is."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{path}{str(error).removeprefix(SETTING[kind.name])}") from error


def _offered(host: PluginHost, plugin: Plugin, kind: Kind) -> Iterator[Entry]:
    try:
        answers = host.call(plugin, kind.hook)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{kind.hook} raised {explain(error)}") from error
    for answer in answers:
        if not isinstance(answer, Mapping):
            raise PluginError(f"{kind.hook} returned a {type(answer).__name__}; expected names to factories")
        for name, factory in answer.items():
            if not isinstance(name, str) or not name:
                raise PluginError(f"{kind.hook} returned the name {name!r}; expected text")
            good = isinstance(factory, Bundle) if kind.contract is Bundle else callable(factory)
            if not good:
                wanted = "a Bundle" if kind.contract is Bundle else "a class or function"
                raise PluginError(f"{kind.hook}: '{name}' is a {type(factory).__name__}; expected {wanted}")
            yield Entry(kind.name, name, plugin.owner, plugin.version, _doc(factory), factory, plugin)


def _doc(factory: Any) -> str:
    if isinstance(factory, Bundle):
        return factory.doc
    function = factory.func if isinstance(factory, functools.partial) else factory
    text = inspect.cleandoc(getattr(function, "__doc__", None) or "")
    return text.split("\n\n")[0].replace("\n", " ") if text else ""
