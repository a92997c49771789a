from edanas.plugins.registry import Registry
from edanas.testing import check_criterion

KIND = "confidence criterion"


def test_conforms(registry: Registry, name: str) -> None:
    check_criterion(registry.create(KIND, name))
