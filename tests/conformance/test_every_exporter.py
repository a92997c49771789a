from edanas.plugins.registry import Registry
from edanas.testing import check_exporter

KIND = "exporter"


def test_conforms(registry: Registry, name: str) -> None:
    check_exporter(registry.create(KIND, name))
