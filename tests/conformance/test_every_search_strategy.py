import pytest

from edanas.core.optional_packages import MissingExtraError
from edanas.plugins.registry import Registry
from edanas.testing import check_strategy

KIND = "search strategy"


def test_conforms(registry: Registry, name: str) -> None:
    short = {"generations": 3} if "generations" in registry.parameters(KIND, name) else {}
    try:
        registry.create(KIND, name, short)
    except MissingExtraError as error:
        pytest.skip(f"{name}: {error}")
    check_strategy(lambda: registry.create(KIND, name, short))
