from edanas.plugins.registry import Registry
from edanas.testing import check_objective

KIND = "objective"


def test_conforms(registry: Registry, name: str) -> None:
    check_objective(registry.create(KIND, name))
