from edanas.plugins.registry import Registry
from edanas.testing import check_executor

KIND = "executor"


def test_conforms(registry: Registry, name: str) -> None:
    check_executor(registry.create(KIND, name))
