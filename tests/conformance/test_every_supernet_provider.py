from small_networks import SMALL

from edanas.plugins.registry import Registry
from edanas.testing import check_provider

KIND = "supernet provider"


def test_conforms(registry: Registry, name: str) -> None:
    check_provider(registry.create(KIND, name, SMALL.get(name)))
