"""A fresh environment with the example plugin package installed from its wheel, without a network or pip."""

import shutil

import pytest
from fresh_environments import ROOT, Environment, build

PACKAGE = ROOT / "examples" / "edanas-entropy"


@pytest.fixture(scope="session")
def entropy_env(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The environment: this one's packages by a .pth file, and the example's wheel unpacked into its own."""
    folder = tmp_path_factory.mktemp("entropy")
    # The repository comes first, so that its edanas is the one that runs.
    environment = Environment.make(folder / "env", ROOT)
    source = folder / "source"
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__", "dist", ".*"))
    environment.install(build(source, "wheel", folder / "wheel"))
    return environment
