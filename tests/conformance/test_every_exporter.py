from pathlib import Path

import pytest
from series_networks import series_network

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


def test_conforms_on_series(registry: Registry, name: str, tmp_path: Path) -> None:
    try:
        exporter = registry.create(KIND, name)
    except MissingExtraError as error:
        pytest.skip(f"{name}: {error}")
    check_exporter(exporter, *(series_network(tmp_path, smallest=True, seed=seed) for seed in (0, 1)))
