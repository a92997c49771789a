"""Examples in docstrings: each one runs, and each public function and class has one."""

import doctest
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import api_listing
import pytest

PACKAGE = Path(api_listing.edanas.__file__).parent

MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]


@pytest.fixture
def run_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the outcome of a module's examples, run in a folder of their own, and the report of failures."""
    monkeypatch.chdir(tmp_path)

    def run(module: ModuleType) -> tuple[doctest.TestResults, str]:
        report: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.REPORT_ONLY_FIRST_FAILURE)
        for test in doctest.DocTestFinder(exclude_empty=True).find(module, module.__name__):
            runner.run(test, out=report.append)
        return runner.summarize(verbose=False), "".join(report)

    return run


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str, run_examples: Any, tmp_path: Path) -> None:
    outcome, report = run_examples(importlib.import_module(name))
    assert outcome.failed == 0, report
    assert list(tmp_path.iterdir()) == [], f"{name}: an example writes into the current folder"


def test_a_wrong_example_fails(run_examples: Any) -> None:
    module = ModuleType("wrong")
    module.__doc__ = "One and one.\n\n>>> 1 + 1\n3\n"
    outcome, report = run_examples(module)
    assert outcome.failed == 1
    assert "Expected:\n    3" in report


def public_objects() -> Iterator[tuple[str, Any]]:
    """Functions and classes that the listing of public names holds, each by its path."""
    for module, names in api_listing.public_names().items():
        for name in names:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                yield f"{module.__name__}.{name}", value


def without_example(objects: Iterator[tuple[str, Any]]) -> list[str]:
    return [path for path, value in objects if ">>>" not in (value.__doc__ or "")]


def test_each_public_function_and_class_has_an_example() -> None:
    assert without_example(public_objects()) == []


def test_a_missing_example_is_named() -> None:
    assert without_example(iter([("there", len)])) == ["there"]
