"""Listing of the public API, one line a name; run as a program, it writes the golden file."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import typer

import edanas
from edanas import tables, testing
from edanas.cli.application import app
from edanas.core import contracts, hookspecs, types
from edanas.core.config import reference

FILE = Path(__file__).parents[1] / "golden" / "public_api.txt"


def public_names() -> dict[ModuleType, list[str]]:
    """Return the public names of each module whose names are promised to stay."""
    names = {module: list(module.__all__) for module in (edanas, contracts, testing, tables)}
    names[types] = [name for name in types.__all__ if _is_code(getattr(types, name))]
    names[hookspecs] = [name for name in vars(hookspecs) if name.startswith("edanas_")]
    return names


def listing() -> list[str]:
    """Return names with signatures, settings with their types and commands with their options, sorted."""
    modules = public_names().items()
    lines = [line for module, names in modules for name in names for line in _lines(module, name)]
    lines += [f"setting {line.path}: {line.type}" for line in reference()]
    return sorted({*lines, *_commands()})


def _is_code(value: Any) -> bool:
    return inspect.isclass(value) or inspect.isfunction(value)


def _lines(module: ModuleType, name: str) -> Iterator[str]:
    value, path = getattr(module, name), f"{module.__name__}.{name}"
    if not callable(value):
        yield path
        return
    yield f"{path}{_signature(value)}"
    if inspect.isclass(value):
        for attribute, member in vars(value).items():
            if not attribute.startswith("_") or attribute == "__call__":
                function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
                yield f"{path}.{attribute}{_signature(function) if inspect.isfunction(function) else ''}"


def _signature(value: Any) -> str:
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return ""
    # Module names of annotations and addresses of defaults differ between versions of Python.
    text = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text)
    return re.sub(r" at 0x[0-9a-f]+", "", text).replace("'", "")


def _commands() -> Iterator[str]:
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        yield f"command edanas {name}"
        for parameter in command.params:
            argument = parameter.param_type_name == "argument"
            for each in [parameter.name.upper()] if argument else parameter.opts:
                yield f"command edanas {name} {each}"


if __name__ == "__main__":
    FILE.write_text("\n".join([*listing(), ""]), encoding="utf-8")
