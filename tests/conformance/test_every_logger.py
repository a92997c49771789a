from pathlib import Path

import pytest

from edanas.plugins.registry import Registry
from edanas.testing import check_logger

KIND = "logger"


def test_conforms(registry: Registry, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    check_logger(lambda: registry.create(KIND, name))
