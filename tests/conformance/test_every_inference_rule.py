from edanas.plugins.registry import Registry
from edanas.testing import check_inference

KIND = "inference rule"


def test_conforms(registry: Registry, name: str) -> None:
    check_inference(registry.create(KIND, name))
