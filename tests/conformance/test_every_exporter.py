import pytest

from edanas.core.optional_packages import MissingExtraError
from edanas.plugins.registry import Registry
from edanas.testing import check_exporter

KIND = "exporter"


def test_conforms(registry: Registry, name: str) -> None:
    try:
        exporter = registry.create(KIND, name)
    except MissingExtraError as error:
        pytest.skip(f"{name}: {error}")
    check_exporter(exporter)
