import pytest
from toy_tables import toy_table


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """All 96 toy backbones."""
    return toy_table(tmp_path_factory.mktemp("whole") / "toy.safetensors")


@pytest.fixture(scope="session")
def half(tmp_path_factory):
    """Every second of them."""
    return toy_table(tmp_path_factory.mktemp("half") / "toy.safetensors", every=2)
