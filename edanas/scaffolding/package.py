"""The files of a new plugin package, and what may not be one's name."""

import importlib.util
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import get_origin, get_type_hints

from edanas.core.errors import ConfigError, RunError, unknown
from edanas.core.hookspecs import GROUP, KINDS, SPEC_VERSION
from edanas.core.settings import Settings
from edanas.core.version import VERSION
from edanas.plugins.registry import SETTING, Registry

_TESTS = "#### tests\n"
"""The line between a kind's module and its tests."""

_NAME = re.compile(r"[a-z]([a-z0-9]|[-_.](?=[a-z0-9]))*", re.IGNORECASE)
"""A distribution's name (PEP 508) that begins with a letter, as a module's has to."""

_COMMANDS = {
    "bundle": "run --plugin {}",
    "data set": "run --data {}",
    "exporter": "export MODEL --to {}",
    "objective": 'run --set \'objectives=["accuracy", "{}"]\'',
}
"""How to use a kind that has a flag of its own, or is of no use alone."""

_LISTS = {path for path, held in get_type_hints(Settings).items() if get_origin(held) is tuple}
"""Settings that hold several implementations of their kind."""


@dataclass(frozen=True)
class NewPackage:
    """A plugin package that does not exist yet.

    Args:
        project: The distribution's name, e.g. `edanas-agreement`.
        kinds: What it is to offer, each a name in `KINDS`; at least one.

    Raises:
        ConfigError: The name is none, or a kind is unknown or repeated.
    """

    project: str
    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.project):
            raise ConfigError(
                f"NAME: found '{self.project}'; allowed: letters, digits, '-', '_' and '.', from a letter "
                "to a letter or digit, e.g. edanas-agreement"
            )
        if keyword.iskeyword(self.package):
            raise ConfigError(f"NAME: found '{self.project}'; '{self.package}' is a word of Python's own")
        for kind in self.kinds:
            if kind not in templates():
                raise ConfigError(f"--kind: {unknown('kind', kind, templates())}")
        if not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise ConfigError(f"--kind: found {list(self.kinds)}; allowed: one or more, each once")

    @property
    def package(self) -> str:
        """The name that Python imports."""
        return re.sub(r"[-.]", "_", self.project).lower()

    @property
    def name(self) -> str:
        """What its extensions are called, e.g. `agreement`."""
        return re.sub(r"[_.]", "-", self.project).lower().removeprefix(f"{GROUP}-")

    def check_free(self, registry: Registry) -> None:
        """Refuse names that are taken in this environment.

        Raises:
            ConfigError: A module has the package's name already, or an extension that of one of its kinds.
        """
        for kind in self.kinds:
            if self.name in registry.names(kind):
                owner = registry.entry(kind, self.name).owner
                raise ConfigError(
                    f"NAME: found '{self.project}', but the {kind} '{self.name}' is there already "
                    f"(from {owner}); allowed: a name of its own"
                )
        if importlib.util.find_spec(self.package) is not None:
            raise ConfigError(
                f"NAME: found '{self.project}', but a module '{self.package}' is installed already; "
                "allowed: a name of its own"
            )

    def files(self) -> dict[str, str]:
        """Text by path in the package's folder."""
        found = {
            "pyproject.toml": self._fill(_read("pyproject.toml")),
            "README.md": self._fill(_read("README.md")),
            f"src/{self.package}/__init__.py": self._fill(_read("package.py")),
            f"src/{self.package}/py.typed": "",
        }
        for kind in self.kinds:
            module, tests = self.parts(kind)
            found[f"src/{self.package}/{_module(kind)}.py"] = module
            found[f"tests/test_{_module(kind)}.py"] = tests
        return found

    def parts(self, kind: str) -> tuple[str, str]:
        """The module of one kind, and its tests."""
        module, _, tests = self._fill(templates()[kind]).partition(_TESTS)
        return module, tests

    def write(self, folder: Path) -> list[Path]:
        """Write all files, and make the folder where it is not there.

        Returns:
            Their paths.

        Raises:
            RunError: The folder is there and not empty, is no folder, or cannot be written to.
        """
        try:
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise RunError(f"{folder}: is there already; allowed: an empty folder, or one to be made")
            paths = []
            for name, text in self.files().items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                paths.append(path)
        except OSError as error:
            raise RunError(f"{folder}: cannot be written: {error.strerror or error}") from error
        return paths

    def _row(self, kind: str) -> str:
        """What the README's table says of one kind."""
        file = f"src/{self.package}/{_module(kind)}.py"
        return f"| {kind} | `{self.name}` | `{file}` | `{_use(kind, self.name)}` |"

    def _fill(self, text: str) -> str:
        """Put this package's names into a template."""
        hooks = sorted((_module(kind.name), kind.hook) for kind in KINDS if kind.name in self.kinds)
        return Template(text).substitute(
            project=self.project,
            package=self.package,
            name=self.name,
            Name="".join(part.capitalize() for part in self.name.split("-")),
            version=VERSION,
            spec_version=SPEC_VERSION,
            offers=f"{', '.join(self.kinds)} '{self.name}'",
            rows="\n".join(self._row(kind) for kind in self.kinds),
            imports="\n".join(f"from {self.package}.{module} import {hook}" for module, hook in hooks),
            exports="\n".join(f'    "{hook}",' for _, hook in hooks),
        )


@cache
def templates() -> dict[str, str]:
    """Each kind's template, for every kind that has one, in the order of `KINDS`."""
    found = {kind.name: files(__package__) / "templates" / "kinds" / _file(kind.name) for kind in KINDS}
    return {kind: path.read_text(encoding="utf-8") for kind, path in found.items() if path.is_file()}


def _read(name: str) -> str:
    return (files(__package__) / "templates" / f"{name}.tmpl").read_text(encoding="utf-8")


def _file(kind: str) -> str:
    return f"{_module(kind)}.tmpl"


def _module(kind: str) -> str:
    return kind.replace(" ", "_")


def _use(kind: str, name: str) -> str:
    """A command that uses an extension."""
    if kind in _COMMANDS:
        return f"edanas {_COMMANDS[kind].format(name)}"
    value = f"'{SETTING[kind]}=[\"{name}\"]'" if SETTING[kind] in _LISTS else f"{SETTING[kind]}={name}"
    return f"edanas run --set {value}"


def choices(kinds: Sequence[str]) -> tuple[str, ...]:
    """Kinds as users write them, with `-` or `_` for the space; a confidence criterion if there are none."""
    return tuple(re.sub(r"[-_]", " ", kind).lower() for kind in kinds) or ("confidence criterion",)
