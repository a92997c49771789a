"""Each test here runs over all registered names of one kind, so a new built-in is covered at once."""

from functools import cache

import pytest

from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry


@cache
def installed_registry() -> Registry:
    return Registry(load_plugins())


@pytest.fixture(scope="session")
def registry() -> Registry:
    return installed_registry()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`KIND = "objective"` in a test's module makes its argument `name` each registered objective."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", installed_registry().names(metafunc.module.KIND))
