"""Fixtures of plugins: the installed ones, packages that a test installs, and replacements of built-ins."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from plugin_packages import installed_registry, write_package

from edanas.plugins.registry import Registry

CRITERION = """
from edanas import hookimpl
from edanas.core.contracts import Bundle, ConfidenceCriterion

class Constant(ConfidenceCriterion):
    '''The same confidence for everything.

    More that is not listed.
    '''
    def __init__(self, value: float = 0.5, *, name_of: str = "x", steps: tuple[int, ...] = ()) -> None:
        self.value, self.name_of, self.steps = value, name_of, steps
    def __call__(self, logits):
        return logits[:, 0] * 0 + self.value
"""
"""Start of the code of each installed module."""


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The registry of all installed plugins."""
    return installed_registry()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """`install(entry_point, code, owner=..., version=...)` installs a plugin and returns its module."""
    monkeypatch.syspath_prepend(str(tmp_path))
    modules: list[str] = []

    def install(point: str, code: str, owner: str = "", version: str = "1.0") -> str:
        module = f"fake_{point.replace('-', '_')}_{len(modules)}"
        write_package(tmp_path, point, module, CRITERION + code, owner or f"dist-{point}", version)
        modules.append(module)
        return module

    yield install
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def no_built_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the built-in plugins, so that only those of the test are there."""
    monkeypatch.setattr("edanas.plugins.manager.BUILT_IN", ())


@pytest.fixture
def built_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`built_ins(one=code, two=code)` makes these modules the only plugins, so that commands are quick."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("EDANAS_PLUGINS", "")
    replacements: list[str] = []

    def replace_built_ins(**modules: str) -> None:
        for name, code in modules.items():
            (tmp_path / f"{name}.py").write_text(code)
            replacements.append(name)
        monkeypatch.setattr("edanas.plugins.manager.BUILT_IN", tuple(modules))

    yield replace_built_ins
    for name in replacements:
        sys.modules.pop(name, None)
