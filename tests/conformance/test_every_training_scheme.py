from edanas.plugins.registry import Registry
from edanas.testing import check_scheme

KIND = "training scheme"


def test_conforms(registry: Registry, name: str) -> None:
    check_scheme(registry.create(KIND, name))
