"""A new environment with the example packages, installed from their wheels without a network or pip."""

import shutil

import pytest
from fresh_environments import ROOT, Environment, build


@pytest.fixture(scope="session")
def examples_env(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The environment; a .pth file adds the packages of this one."""
    folder = tmp_path_factory.mktemp("examples")
    # The repository comes first, so that its edanas is imported.
    environment = Environment.make(folder / "env", ROOT)
    for package in (path.parent for path in (ROOT / "examples").glob("*/pyproject.toml")):
        source = folder / package.name
        shutil.copytree(package, source, ignore=shutil.ignore_patterns("__pycache__", "dist", ".*"))
        environment.install(build(source, "wheel", folder / f"{package.name}-wheel"))
    return environment
