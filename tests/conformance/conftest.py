"""Each test here runs over all registered names of one kind, so a new built-in is covered at once."""

import pytest
from plugin_packages import installed_registry


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`KIND = "objective"` in a test's module makes its argument `name` each registered objective."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", installed_registry().names(metafunc.module.KIND))
