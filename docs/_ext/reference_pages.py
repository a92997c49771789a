"""Sphinx extension that replaces `<!-- generated: NAME -->` in pages by text from the code."""

import functools
import inspect
import itertools
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import tomli_w
import typer
from figures import FIGURES

from edanas.cli.application import app as command_line
from edanas.core import hookspecs
from edanas.core.config import SettingDoc, reference
from edanas.core.convert import Written, describe
from edanas.core.errors import unknown
from edanas.core.hookspecs import KINDS
from edanas.core.settings import Components, Settings
from edanas.plugins.manager import load_plugins
from edanas.plugins.nested import as_written
from edanas.plugins.registry import GIVEN, SETTING, Entry, Registry
from edanas.plugins.signatures import REST
from edanas.run.layers import RUN_ARGUMENTS
from edanas.scaffolding import NewPackage

MARK = re.compile(r"^<!-- generated: (?P<name>[a-z]+) -->$", re.MULTILINE)

LISTED = {kind for kind, path in SETTING.items() if get_type_hints(Settings)[path] == Components}
"""Kinds whose setting holds a list."""


def setup(app: Any) -> dict[str, Any]:
    """Connect the extension; called by Sphinx."""
    app.connect("source-read", _fill)
    app.connect("env-get-outdated", _outdated)
    return {"version": "1", "parallel_read_safe": True}


def _fill(app: Any, docname: str, source: list[str]) -> None:
    def text(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in PAGES:
            raise ValueError(f"{docname}: {unknown('generated text', name, PAGES)}")
        return PAGES[name](Path(app.srcdir))

    source[0] = MARK.sub(text, source[0])


def _outdated(_app: Any, env: Any, *_: Any) -> list[str]:
    """Return the pages with generated text, which depend on the code and are always read again."""
    return [name for name in env.found_docs if _is_generated(Path(env.doc2path(name)))]


def _is_generated(path: Path) -> bool:
    return path.suffix == ".md" and MARK.search(path.read_text(encoding="utf-8")) is not None


@functools.cache
def registry() -> Registry:
    """Return the registry of built-in and installed plugins."""
    return Registry(load_plugins())


def settings(_: Path) -> str:
    """Return the sections of all settings, by group."""
    groups: dict[str, list[SettingDoc]] = {}
    for line in reference():
        groups.setdefault(line.path.rpartition(".")[0], []).append(line)
    parts = []
    for group, lines in groups.items():
        parts.append(f"## `{group}`" if group else "## Top level")
        parts += [_term(line.path, line.doc, line.type, line.default) for line in lines]
    return "\n\n".join(parts)


def hooks(_: Path) -> str:
    """Return a section for each kind of extension, then one for each lifecycle event."""
    parts = ["## Kinds of extension"]
    for kind in KINDS:
        names = ", ".join(f"`{name}`" for name in registry().names(kind.name))
        contract = f"{{py:class}}`~{kind.contract.__module__}.{kind.contract.__name__}`"
        parts.append(f"### `{kind.hook}`\n\n{_specification(kind.hook)}")
        parts.append(f"Contract: {contract}. Setting: `{SETTING[kind.name]}`. Here: {names}.")
    parts.append("## Lifecycle events")
    known = {kind.hook for kind in KINDS}
    events = [n for n in vars(hookspecs) if n.startswith(f"{hookspecs.GROUP}_") and n not in known]
    parts += [f"### `{name}`\n\n{_specification(name)}" for name in events]
    return "\n\n".join(parts)


def _specification(name: str) -> str:
    function = getattr(hookspecs, name)
    modules = r"\b(?:collections\.abc|edanas(?:\.\w+)+|typing|pathlib)\.(?=[A-Z])"
    signature = re.sub(modules, "", str(inspect.signature(function)))
    text, _, example = (inspect.getdoc(function) or "").partition("\n\nExample:\n")
    # The page shows the implementation alone, without doctest's prompts, calls and output.
    prompt, *lines = inspect.cleandoc(example).splitlines()
    body = itertools.takewhile(lambda line: line.startswith("..."), lines)
    code = "\n".join(line[4:] for line in (prompt, *body)).replace("'''", '"""')
    parts = [f"```python\n@hookimpl\ndef {name}{signature}: ...\n```", text, f"```python\n{code}\n```"]
    return "\n\n".join(parts)


def implementations(_: Path) -> str:
    """Return the registered names by kind, with their options, without bundles."""
    parts = []
    for kind in KINDS:
        if kind.name == "bundle":
            continue
        parts.append(f"## {kind.name.capitalize()}: `{SETTING[kind.name]}`")
        if kind.name in LISTED:
            parts.append('A list, each a name or, with options, a table: `{name = "...", option = value}`.')
        for entry in registry().entries(kind.name):
            parts.append(f"### `{entry.name}`\n\n{entry.doc}")
            parts += list(_options(entry))
    return "\n\n".join(parts)


def _options(entry: Entry) -> Iterator[str]:
    documented = arguments(entry.factory)
    for name, option in (
        registry().parameters(entry.kind, entry.name, RUN_ARGUMENTS.get(entry.kind, 0)).items()
    ):
        if name == REST or name in GIVEN.get(entry.kind, ()):
            continue
        default = inspect.Parameter.empty if option.required else option.default
        path = name if entry.kind in LISTED else f"{SETTING[entry.kind]}.{name}"
        yield _term(path, documented.get(name, ""), describe(as_written(option.annotation)), default)


def arguments(factory: Any) -> dict[str, str]:
    """Return the `Args:` section of a docstring by argument; a class inherits its bases' text."""
    function = factory.func if isinstance(factory, functools.partial) else factory
    texts: dict[str, str] = {}
    for holder in reversed(inspect.getmro(function) if isinstance(function, type) else (function,)):
        section = re.search(r"^Args:\n((?:[ ]{4}.*\n?|\n)+)", _doc(holder), re.MULTILINE)
        text = section[1] if section else ""
        items = re.findall(r"^ {4}(\w+): ((?:.*\n?)(?:^ {5,}.*\n?)*)", text, re.MULTILINE)
        texts |= {name: " ".join(entry.split()) for name, entry in items}
    return texts


def _doc(holder: Any) -> str:
    return inspect.cleandoc(holder.__doc__ or "")


def bundles(_: Path) -> str:
    """Return all bundles with their settings and presets, as TOML."""
    parts = []
    for entry in registry().entries("bundle"):
        bundle = entry.factory
        parts.append(f"### `{entry.name}`\n\n{bundle.doc}\n\n{_toml(bundle.settings)}")
        for number, (name, layer) in enumerate(bundle.presets.items()):
            default = " (the default)" if number == 0 else ""
            parts.append(f"`--preset {name}`{default} lays over it:\n\n{_toml(layer)}")
    return "\n\n".join(parts)


def _toml(layer: Mapping[str, Any]) -> str:
    # tomli_w writes each item of a list on its own line; short lists fit on one.
    text = re.sub(r"\[\n\s+(.*?),?\n\]", _on_one_line, tomli_w.dumps(layer), flags=re.DOTALL)
    return f"```toml\n{text.strip()}\n```"


def _on_one_line(match: re.Match[str]) -> str:
    return "[" + re.sub(r",\n\s+", ", ", match[1]) + "]"


def commands(_: Path) -> str:
    """Return all commands with their arguments and options."""
    group = typer.main.get_command(command_line)
    functions = {info.name: info.callback for info in command_line.registered_commands}
    parts = ["## `edanas`", group.help, *_parameters(group, {})]
    for name, command in group.commands.items():
        arguments_shown = "".join(
            f" {p.name.upper()}" for p in command.params if p.param_type_name == "argument"
        )
        parts += [
            f"## `edanas {name}`",
            f"```text\nedanas {name}{arguments_shown} [OPTIONS]\n```",
            command.help,
        ]
        parts += _parameters(command, get_type_hints(functions[name]))
    return "\n\n".join(parts)


def _parameters(command: Any, hints: Mapping[str, Any]) -> list[str]:
    lines = []
    for parameter in command.params:
        argument = parameter.param_type_name == "argument"
        names = parameter.name.upper() if argument else ", ".join(parameter.opts)
        value = "" if argument else _value(hints.get(parameter.name, bool))
        lines.append(f"`{names}{value}`\n: {parameter.help or ''}{_default_sentence(parameter)}")
    return lines


def _default_sentence(parameter: Any) -> str:
    """Return a sentence on the default of an option; empty for an unset flag, or if the help has it."""
    default = parameter.default
    if not isinstance(default, (bool, int, float, str)) or default is False or default == "":
        return ""
    return f" Default: {'on' if default is True else f'`{default}`'}."


def _value(hint: Any) -> str:
    """Return the placeholder of an option's value, e.g. ` TEXT`; empty for a flag."""
    inner = next((value for each in get_args(hint) if (value := _value(each))), "")
    return inner or {str: " TEXT", int: " INTEGER", float: " NUMBER", Path: " PATH"}.get(hint, "")


def kinds(_: Path) -> str:
    """Return a section for each kind of extension: its contract, and the code of `edanas new-plugin`."""
    parts = []
    for kind in KINDS:
        option = kind.name.replace(" ", "-")
        module, tests = NewPackage("edanas-example", (kind.name,)).parts(kind.name)
        contract = f"{{py:class}}`~{kind.contract.__module__}.{kind.contract.__name__}`"
        parts.append(f"## {kind.name.capitalize()}: `--kind {option}`")
        parts.append(
            f"{inspect.cleandoc(kind.contract.__doc__ or '').splitlines()[0]} The contract: {contract}."
        )
        parts.append(f"```python\n{module.strip()}\n```")
        parts.append(f"Its tests:\n\n```python\n{tests.strip()}\n```")
    return "\n\n".join(parts)


def floors(source: Path) -> str:
    """Return the import floors of import-linter's configuration, highest first."""
    text = (source.parent / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    blocks = [f"{c['name']}:\n\n```text\n{_listed(c['layers'])}\n```" for c in contracts if "layers" in c]
    return "\n\n".join(blocks)


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _term(path: str, doc: str, kind: str, default: Any) -> str:
    """Return one entry of a definition list."""
    needed = default is inspect.Parameter.empty
    value = "" if needed else f" = {json.dumps(_as_written(default), ensure_ascii=False)}"
    return f"`{path}{value}`\n: {doc}\n\n  Holds {kind}{'; must be given' if needed else ''}."


def _as_written(value: Any) -> Any:
    """Return a default value as users write it in settings, in JSON's types."""
    if isinstance(value, (list, tuple)):
        return [_as_written(item) for item in value]
    if isinstance(value, Written):
        return value.written()
    return "none" if value is None else value


PAGES: dict[str, Callable[[Path], str]] = {
    "settings": settings,
    "hooks": hooks,
    "implementations": implementations,
    "bundles": bundles,
    "commands": commands,
    "kinds": kinds,
    "floors": floors,
    **FIGURES,
}
