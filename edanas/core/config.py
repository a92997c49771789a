"""Reading of settings: layers of TOML and flags -> `Settings`, with the setting's path in every error.

The layers are a bundle, its preset, a file, `--set` and flags; each overrides the layers before it. A layer
is a mapping with nested tables, dotted keys, or both. A component keeps its options until a later layer names
another component.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import tomli_w

from edanas.core.convert import Limits, Place, Written, as_toml, convert, describe, shown
from edanas.core.deprecation import RENAMED_SETTINGS
from edanas.core.errors import ConfigError
from edanas.core.settings import Component, Settings, SplitSettings

Layer = tuple[str, Mapping[str, Any]]
"""A layer of settings: its name in messages, e.g. `--set` or a file's path, and its settings."""

_Flat = dict[str, tuple[Any, str]]
"""Value and layer name by dotted path. A component has its name at `path`, an option at `path.option`."""

_DEFAULT = "the default"

_TOO_DEEP = "lists or tables are nested too deeply; expected the settings that the reference lists"


class SettingDoc(NamedTuple):
    """The entry of one setting in the settings reference.

    Args:
        path: Dotted path, e.g. `training.epochs`.
        type: Description of the allowed values.
        default: Default value; for a component, its name.
        doc: Description of the setting.
    """

    path: str
    type: str
    default: Any
    doc: str


def resolve(layers: Sequence[Layer]) -> Settings:
    """Merge layers of settings over the defaults; a later layer overrides earlier layers.

    Args:
        layers: Pairs of a layer's name, for messages, and its settings.

    Raises:
        ConfigError: A setting is unknown, of the wrong type or out of range, or the shares of `split` do not
            sum to 1.

    Example:
        >>> settings = resolve([("a file", {"seed": 7}), ("--set", {"search.iterations": 2})])
        >>> settings.seed, settings.search.iterations
        (7, 2)
    """
    flat: _Flat = {path: (value, _DEFAULT) for path, value in flatten(Settings()).items()}
    for origin, table in layers:
        try:
            _lay(flat, Settings, table, origin, "")
            repr(flat)  # the messages of later errors show values
        except RecursionError as error:
            raise ConfigError(f"settings from {origin}: {_TOO_DEEP}") from error
    settings: Settings = _build(flat, Settings, "")
    _check_shares(settings.split)
    return settings


def flatten(settings: Any) -> dict[str, Any]:
    """Return the value of every setting by its dotted path.

    A component has its name at `path`, and each option at `path.option`. A list of components is one value: a
    tuple with a name, or with a table if options are set, for each component.
    """
    flat: dict[str, Any] = {}
    for part in fields(settings):
        value = getattr(settings, part.name)
        if isinstance(value, Component):
            flat[part.name] = value.name
            flat |= {f"{part.name}.{option}": v for option, v in value.options.items()}
        elif is_dataclass(value):
            flat |= {f"{part.name}.{path}": v for path, v in flatten(value).items()}
        elif isinstance(value, tuple):
            flat[part.name] = tuple(v.written() if isinstance(v, Written) else v for v in value)
        else:
            flat[part.name] = value
    return flat


def to_plain(settings: Settings) -> dict[str, Any]:
    """Return the settings as nested tables of TOML's types; `resolve` turns them into equal settings."""
    tables: dict[str, Any] = {}
    for part in fields(settings):
        value = getattr(settings, part.name)
        if is_dataclass(value) and not isinstance(value, Written):
            tables[part.name] = to_plain(value)  # type: ignore[arg-type]
        else:
            tables[part.name] = as_toml(value, Place(part.name))
    return tables


def to_toml(settings: Settings) -> str:
    """Return the settings as TOML text; parsing it and calling `resolve` gives equal settings."""
    return tomli_w.dumps(to_plain(settings))


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file as nested tables.

    Raises:
        ConfigError: The file cannot be read or parsed; the message names the file and the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start}); expected TOML") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: {_TOO_DEEP}") from error
    except ValueError as error:
        text = str(error)
        line = re.search(r"\(at line (\d+), column (\d+)\)", text)
        where = f"{path}, line {line[1]}, column {line[2]}" if line else f"{path}, at its end"
        raise ConfigError(f"{where}: {re.sub(r' ?[(]at .*[)]$', '', text)}; expected TOML") from error


def parse_assignment(text: str) -> dict[str, Any]:
    """Parse `a.b=value` into nested tables; `value` is a TOML value, or otherwise plain text.

    Raises:
        ConfigError: The text has no `=`, or no dotted path before it.

    Example:
        >>> parse_assignment("training.epochs=5")
        {'training': {'epochs': 5}}
    """
    path, equals, right = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set: found {shown(text)}; expected KEY=VALUE, e.g. training.epochs=5")
    value = toml_value(right.strip())
    for key in reversed(keys):
        value = {key: value}
    return dict(value)


def differences(old: Settings, new: Settings) -> dict[str, tuple[Any, Any]]:
    """Return the old and the new value of each differing setting, by dotted path; `None` = not set."""
    before, after = flatten(old), flatten(new)
    paths = [*before, *(path for path in after if path not in before)]
    missing = object()
    return {
        path: (before.get(path), after.get(path))
        for path in paths
        if before.get(path, missing) != after.get(path, missing)
    }


def changed(old: Settings, new: Settings) -> list[str]:
    """Return one line for each setting that differs, e.g. `training.epochs: was 10, now 12`."""
    return [f"{path}: was {shown(a)}, now {shown(b)}" for path, (a, b) in differences(old, new).items()]


def reference() -> list[SettingDoc]:
    """Return the reference entry of every setting, in the order of `Settings`."""
    return list(_reference(Settings(), ""))


def _reference(settings: Any, prefix: str) -> Iterator[SettingDoc]:
    hints = get_type_hints(type(settings))
    for part in fields(settings):
        value, path = getattr(settings, part.name), prefix + part.name
        if isinstance(value, Component):
            yield SettingDoc(path, Component.words, value.name, part.metadata["doc"])
        elif is_dataclass(value):
            yield from _reference(value, f"{path}.")
        else:
            limits: Limits = part.metadata["limits"]
            yield SettingDoc(path, describe(hints[part.name], limits), value, part.metadata["doc"])


def _lay(flat: _Flat, group: type, table: Any, origin: str, prefix: str) -> None:
    if not isinstance(table, Mapping):
        raise Place(prefix[:-1] or "settings", origin).error(table, "a table")
    hints = get_type_hints(group)
    for key, value in _shallow_first(table):
        head, _, rest = key.partition(".")
        path, hint = prefix + head, hints.get(head)
        if hint is None and path in RENAMED_SETTINGS:
            renamed = RENAMED_SETTINGS[path]
            renamed.warn(f"The setting {path}, from {origin},")
            _lay(
                flat, Settings, {f"{renamed.instead}.{rest}" if rest else renamed.instead: value}, origin, ""
            )
        elif hint is Component:
            _lay_component(flat, path, {rest: value} if rest else value, origin)
        elif is_dataclass(hint):
            _lay(flat, hint, {rest: value} if rest else value, origin, f"{path}.")  # type: ignore[arg-type]
        elif hint is None or rest:
            raise _unknown(prefix + key, group, prefix, origin)
        else:
            flat[path] = (value, origin)


def _lay_component(flat: _Flat, path: str, value: Any, origin: str) -> None:
    table = value if isinstance(value, Mapping) else {"name": value}
    name = table.get("name", flat[path][0])
    if not isinstance(name, str) or not name:
        raise Place(path, origin).error(value, Component.words)
    if name != flat[path][0]:
        for option in [known for known in flat if known.startswith(f"{path}.")]:
            del flat[option]
        flat[path] = (name, origin)
    for key, option in _shallow_first(table):
        if key == "name":
            continue
        head, _, rest = key.partition(".")
        at = f"{path}.{head}"
        new = as_toml({rest: option} if rest else option, Place(at, origin))
        old = flat.get(at, (None, ""))[0]
        flat[at] = ({**old, **new} if isinstance(old, dict) and isinstance(new, dict) else new, origin)


def _build(flat: _Flat, group: type, prefix: str) -> Any:
    hints = get_type_hints(group)
    values: dict[str, Any] = {}
    for part in fields(group):
        path, hint = prefix + part.name, hints[part.name]
        if hint is Component:
            start = f"{path}."
            options = {p.removeprefix(start): v for p, (v, _) in flat.items() if p.startswith(start)}
            values[part.name] = Component(flat[path][0], options)
        elif is_dataclass(hint):
            values[part.name] = _build(flat, hint, f"{path}.")  # type: ignore[arg-type]
        else:
            value, origin = flat[path]
            values[part.name] = convert(value, hint, Place(path, origin), part.metadata["limits"])
    return group(**values)


def _check_shares(split: SplitSettings) -> None:
    shares = {part.name: getattr(split, part.name) for part in fields(split)}
    total = sum(shares.values())
    if abs(total - 1.0) > 1e-6:
        terms = " + ".join(f"{name} {share:g}" for name, share in shares.items())
        raise ConfigError(f"split: {terms} = {total:g}: expected shares that sum to 1")


def _unknown(path: str, group: type, prefix: str, origin: str) -> ConfigError:
    siblings = [prefix + part.name for part in fields(group)]
    everything = [line.path for line in reference()]
    above, _, last = path.rpartition(".")
    near = [known for known in everything if known.rpartition(".")[2] == last]
    near = near or [known for known in everything if known == above]
    near = near or _closest(last, [*siblings, *everything])
    hint = f" Did you mean {' or '.join(repr(known) for known in near)}?" if near else ""
    return ConfigError(f"{path}: unknown setting, from {origin}.{hint} Allowed: {', '.join(siblings)}.")


def _closest(last: str, paths: Sequence[str]) -> list[str]:
    """Return the path whose last part is the most similar to `last`; no path if none is similar."""
    ends = {path.rpartition(".")[2]: path for path in reversed(paths)}
    return [ends[end] for end in get_close_matches(last, ends, n=1)]


def _shallow_first(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the items of a layer; `strategy`, with fewer dots, comes before `strategy.population`."""
    return sorted(((str(key), value) for key, value in table.items()), key=lambda item: item[0].count("."))


def toml_value(text: str) -> Any:
    """Parse `text` as a TOML value; return `text` itself if it is not a TOML value.

    Example:
        >>> toml_value("[1, 2]"), toml_value("rbf")
        ([1, 2], 'rbf')
    """
    try:
        table = tomllib.loads(f"value = {text}")
    except ValueError:
        return text
    except RecursionError as error:
        raise ConfigError(f"{shown(text)}: {_TOO_DEEP}") from error
    return table["value"] if table.keys() == {"value"} else text
