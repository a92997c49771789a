"""What edanas promises to keep, a line each: `python tests/api_listing.py` writes it down anew."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import typer

import edanas
from edanas import tables, testing
from edanas.cli import app
from edanas.core import contracts, hookspecs, types
from edanas.core.config import reference

FILE = Path(__file__).parents[1] / "golden" / "public_api.txt"


def listing() -> list[str]:
    """Names with signatures, settings with what they hold, commands with their options; sorted."""
    named = {module: module.__all__ for module in (edanas, contracts, testing, tables)}
    named[types] = [name for name in vars(types) if _own(types, name)]
    named[hookspecs] = [name for name in vars(hookspecs) if name.startswith("edanas_")]
    lines = [line for module, names in named.items() for name in names for line in _lines(module, name)]
    lines += [f"setting {line.path}: {line.type}" for line in reference()]
    return sorted({*lines, *_commands()})


def _own(module: ModuleType, name: str) -> bool:
    return not name.startswith("_") and getattr(vars(module)[name], "__module__", None) == module.__name__


def _lines(module: ModuleType, name: str) -> Iterator[str]:
    found, path = getattr(module, name), f"{module.__name__}.{name}"
    if not callable(found):
        yield path
        return
    yield f"{path}{_signature(found)}"
    if inspect.isclass(found):
        for own, member in vars(found).items():
            if not own.startswith("_") or own == "__call__":
                called = member.__func__ if isinstance(member, classmethod | staticmethod) else member
                yield f"{path}.{own}{_signature(called) if inspect.isfunction(called) else ''}"


def _signature(found: Any) -> str:
    try:
        text = str(inspect.signature(found))
    except (TypeError, ValueError):
        return ""
    # What `typing` and `pathlib` call things is theirs; addresses of defaults are nobody's.
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
