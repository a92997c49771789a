"""Shared by all tests: one thread for torch, and no look at the user's own plugins or cache."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("EDANAS_PLUGINS", raising=False)
