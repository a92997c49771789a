"""Old import paths: each gives the objects at its new path, with one warning."""

import importlib
import sys
import warnings

import pytest

import edanas
from edanas.core import costs
from edanas.core.deprecation import EdanasDeprecationWarning
from edanas.core.moved_modules import MOVED_MODULES, MOVED_NAMES

RENAMED = [(old, name, new) for old, names in MOVED_NAMES.items() for name, new in names.items()]


def object_at(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(("old", "new"), MOVED_MODULES.items())
def test_an_old_module_has_the_same_objects_and_warns_once(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = importlib.import_module(new)
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(EdanasDeprecationWarning) as caught:
        module = importlib.import_module(old)
        importlib.import_module(old)
    (warning,) = caught
    assert str(warning.message).startswith(
        f"{old} is deprecated since edanas 0.1 and will be removed in 0.3; use {new}"
    )
    public = [name for name in vars(now) if not name.startswith("_")]
    assert public
    assert all(getattr(module, name) is getattr(now, name) for name in public)
    assert module.__name__ == old


@pytest.mark.parametrize(("old", "name", "new"), RENAMED)
def test_a_name_that_left_its_module_is_the_object_at_the_new_path(
    old: str, name: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if old in MOVED_MODULES:
        monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(EdanasDeprecationWarning) as caught:
        value = getattr(importlib.import_module(old), name)
    (warning,) = caught
    assert new in str(warning.message)
    assert value is object_at(new)


def test_warnings_name_the_line_that_uses_the_old_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "edanas.prediction", raising=False)
    with pytest.warns(EdanasDeprecationWarning) as caught:
        from edanas.prediction import budget_holder  # noqa: F401

        from edanas.core.costs import count_macs  # noqa: F401
    assert [warning.filename for warning in caught] == [__file__, __file__]


@pytest.mark.parametrize("unknown", ["edanas.predictions", "edanas.benching.benches", "edanas.exits.eenns"])
def test_an_unknown_path_is_no_module(unknown: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModuleNotFoundError, match=unknown):
            importlib.import_module(unknown)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match=r"module 'edanas\.core\.costs' has no attribute 'count'"):
        _ = costs.count
    assert not hasattr(edanas, "predictions")
