"""Files, modules and functions that pages name exist."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

NAME = re.compile(r"[`~ ](edanas(?:\.\w+)+)")
KEYS = {"edanas.table"}
"""Names with a dot that are no modules: keys in files."""

FILE = re.compile(r"`((?:\w+/)+(?:\w+\.py)?|\w+\.py)`")


def exists(name: str) -> bool:
    """True for a module, or an attribute of one, by its dotted name."""
    owner, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ImportError:
        return bool(owner) and exists(owner) and hasattr(value(owner), attribute)
    return True


def value(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ImportError:
        owner, _, attribute = name.rpartition(".")
        return getattr(value(owner), attribute)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_on_pages_exist(path: Path) -> None:
    names = set(NAME.findall(path.read_text(encoding="utf-8"))) - KEYS
    assert [name for name in sorted(names) if not exists(name)] == []


def test_a_name_that_is_gone_is_found() -> None:
    assert exists("edanas.core.contracts.Evaluator.removable")
    assert not exists("edanas.core.contracts.Evaluator.hidden")
    assert not exists("edanas.hidden.module")


def test_files_of_the_architecture_page_exist() -> None:
    files = set(FILE.findall((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")))
    assert len(files) > 30
    parts_of_runs_and_data = {"models/", "test/"}
    missing = [file for file in files if not any((ROOT / top / file).exists() for top in ("edanas", "."))]
    assert set(missing) <= parts_of_runs_and_data
