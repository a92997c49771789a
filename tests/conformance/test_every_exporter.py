import pytest
from series_networks import series_network

from edanas.core.optional_packages import MissingExtraError
from edanas.model.eenn import EENN
from edanas.plugins.registry import Registry
from edanas.testing import check_exporter

KIND = "exporter"


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[EENN]:
    """Two networks, the same objects for all exporters, which share cached graphs of them."""
    folder = tmp_path_factory.mktemp("series")
    return [series_network(folder, smallest=True, seed=seed) for seed in (0, 1)]


def test_conforms(registry: Registry, name: str) -> None:
    try:
        exporter = registry.create(KIND, name)
    except MissingExtraError as error:
        pytest.skip(f"{name}: {error}")
    check_exporter(exporter)


def test_conforms_on_series(registry: Registry, name: str, series: list[EENN]) -> None:
    try:
        exporter = registry.create(KIND, name)
    except MissingExtraError as error:
        pytest.skip(f"{name}: {error}")
    check_exporter(exporter, *series)
