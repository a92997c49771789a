"""Plugins written on the spot that stand in for the built-ins, so that commands are quick."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def built_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`built_ins(one=code, two=code)` makes these modules the only plugins."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("EDANAS_PLUGINS", "")
    written: list[str] = []

    def make(**modules: str) -> None:
        for name, code in modules.items():
            (tmp_path / f"{name}.py").write_text(code)
            written.append(name)
        monkeypatch.setattr("edanas.plugins.manager.BUILT_IN", tuple(modules))

    yield make
    for name in written:
        sys.modules.pop(name, None)
