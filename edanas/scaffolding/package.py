"""The files of a new plugin package, and the checks of its names."""

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
"""The line of a template that separates the module from its tests."""

_NAME = re.compile(r"[a-z]([a-z0-9]|[-_.](?=[a-z0-9]))*", re.IGNORECASE)
"""The pattern of distribution names (PEP 508) that begin with a letter, as the name of a module must."""

_COMMANDS = {
    "bundle": "run --plugin {}",
    "data set": "run --data {}",
    "exporter": "export MODEL --to {}",
    "objective": 'run --set \'objectives=["accuracy", "{}"]\'',
}
"""The command that uses an extension, for kinds that `edanas run --set SETTING=NAME` does not suit.

`{}` stands for the name of the extension.
"""

_LIST_SETTINGS = {path for path, hint in get_type_hints(Settings).items() if get_origin(hint) is tuple}
"""The names of the settings that hold a list of implementations."""


@dataclass(frozen=True)
class NewPackage:
    """A plugin package to write.

    Args:
        project: The name of the distribution, e.g. `edanas-agreement`.
        kinds: The kinds of the extensions in the package, one or more different names out of `KINDS`.

    Raises:
        ConfigError: The name is invalid, or a kind is unknown or repeated, or there is no kind.

    Example:
        >>> package = NewPackage("edanas-agreement", ("confidence criterion",))
        >>> package.package, package.name
        ('edanas_agreement', 'agreement')
        >>> sorted(package.files())[-1]
        'tests/test_confidence_criterion.py'
    """

    project: str
    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.project):
            raise ConfigError(
                f"NAME: found '{self.project}'; allowed: letters, digits, '-', '_' and '.', with a letter "
                "first and a letter or digit last, e.g. edanas-agreement"
            )
        if keyword.iskeyword(self.package):
            raise ConfigError(
                f"NAME: found '{self.project}'; '{self.package}' is a keyword of Python; "
                "allowed: another name"
            )
        for kind in self.kinds:
            if kind not in templates():
                raise ConfigError(f"--kind: {unknown('kind', kind, templates())}")
        if not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise ConfigError(f"--kind: found {list(self.kinds)}; allowed: one or more, each once")

    @property
    def package(self) -> str:
        """The name of the Python package, e.g. `edanas_agreement`."""
        return re.sub(r"[-.]", "_", self.project).lower()

    @property
    def name(self) -> str:
        """The name of the extensions in the package, e.g. `agreement`."""
        return re.sub(r"[_.]", "-", self.project).lower().removeprefix(f"{GROUP}-")

    def check_free(self, registry: Registry) -> None:
        """Check that the names of the package and of its extensions are not in use in this environment.

        Args:
            registry: The installed extensions by kind and name.

        Raises:
            ConfigError: A module has the name of the package, or an extension of the same kind has the name
                of the extensions.
        """
        for kind in self.kinds:
            for entry in registry.entries(kind):
                if entry.name != self.name:
                    continue
                raise ConfigError(
                    f"NAME: found '{self.project}', but the {kind} '{self.name}' exists already "
                    f"(from {entry.owner}); allowed: another name"
                )
        if importlib.util.find_spec(self.package) is not None:
            raise ConfigError(
                f"NAME: found '{self.project}', but a module '{self.package}' is installed already; "
                "allowed: another name"
            )

    def files(self) -> dict[str, str]:
        """Return the text of each file, by the path of the file in the folder of the package."""
        texts = {
            "pyproject.toml": self._fill(_read("pyproject.toml")),
            "README.md": self._fill(_read("README.md")),
            f"src/{self.package}/__init__.py": self._fill(_read("package.py")),
            f"src/{self.package}/py.typed": "",
        }
        for kind in self.kinds:
            module, tests = self.parts(kind)
            texts[f"src/{self.package}/{_module(kind)}.py"] = module
            texts[f"tests/test_{_module(kind)}.py"] = tests
        return texts

    def parts(self, kind: str) -> tuple[str, str]:
        """Return the text of the module for one kind of extension, and the text of the module's tests."""
        module, _, tests = self._fill(templates()[kind]).partition(_TESTS)
        return module, tests

    def write(self, folder: Path) -> list[Path]:
        """Write all files of the package, and return their paths.

        Args:
            folder: The folder to write to, which must be empty or not exist yet.

        Raises:
            RunError: The folder is not empty, is a file, or cannot be written to.
        """
        try:
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise RunError(f"{folder}: exists; allowed: an empty folder or a new folder")
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
        """Return the row of the README's table for one kind of extension."""
        file = f"src/{self.package}/{_module(kind)}.py"
        return f"| {kind} | `{self.name}` | `{file}` | `{_usage(kind, self.name)}` |"

    def _fill(self, text: str) -> str:
        """Return the text of a template with the names of this package in place of its variables."""
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
    """Return the text of each template by kind, in the order of `KINDS`."""
    paths = {kind.name: files(__package__) / "templates" / "kinds" / _file(kind.name) for kind in KINDS}
    return {kind: path.read_text(encoding="utf-8") for kind, path in paths.items() if path.is_file()}


def _read(name: str) -> str:
    return (files(__package__) / "templates" / f"{name}.tmpl").read_text(encoding="utf-8")


def _file(kind: str) -> str:
    return f"{_module(kind)}.tmpl"


def _module(kind: str) -> str:
    return kind.replace(" ", "_")


def _usage(kind: str, name: str) -> str:
    """Return a command line that uses an extension, given its kind and its name."""
    if kind in _COMMANDS:
        return f"edanas {_COMMANDS[kind].format(name)}"
    value = (
        f"'{SETTING[kind]}=[\"{name}\"]'" if SETTING[kind] in _LIST_SETTINGS else f"{SETTING[kind]}={name}"
    )
    return f"edanas run --set {value}"


def choices(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return the names of kinds in lower case, with spaces in place of `-` and `_`.

    Args:
        kinds: The names of kinds from the command line; if empty, the result is `confidence criterion`.

    Example:
        >>> choices(["Search-Strategy"])
        ('search strategy',)
    """
    return tuple(re.sub(r"[-_]", " ", kind).lower() for kind in kinds) or ("confidence criterion",)
