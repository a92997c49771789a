from edanas.plugins.registry import Registry
from edanas.testing import check_classifier

KIND = "exit classifier"


def test_conforms(registry: Registry, name: str) -> None:
    check_classifier(registry.create(KIND, name))
