"""Settings of the whole suite: workers of one thread each, no time limits, no plugins of the user."""

import gc
import math
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["fixtures_plugins"]

# This process, its workers and the programs that tests start read the variable.
os.environ["OMP_NUM_THREADS"] = "1"

# Containers often switch compiled modules off, and each program that imports torch would compile it again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A suite started in the background ignores Ctrl-C, and programs that tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A full collection visits every object of torch; at Python's thresholds, they take a tenth of the time.
gc.set_threshold(50_000, 20, 50)

# Neither an example nor the drawing of examples has a time limit, since a machine may be busy.
settings.register_profile("edanas", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edanas")

MOST_WORKERS = 4
"""Largest number of workers; with more, the longest file determines the time."""

LONGEST_FOLDERS = (
    "docs",
    "test_quality.py",
    "e2e",
    "examples",
    "packaging",
    "scaffolding",
    "faults",
    "benchmarks",
    "executors",
    "conformance",
    "training",
    "cli",
)
"""Folders and files of long tests, the longest first, so that none starts when other workers are done."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return 0 for a single file or test, since starting workers would take longer than the test."""
    from edanas.core.machine import usable_cores

    named = [Path(argument.partition("::")[0]) for argument in config.args]
    return 0 if len(named) == 1 and named[0].suffix == ".py" else min(MOST_WORKERS, usable_cores())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort long tests first; the order inside a folder stays."""
    tests = Path(__file__).parent
    rank = {folder: place for place, folder in enumerate(LONGEST_FOLDERS)}
    items.sort(key=lambda item: rank.get(item.path.relative_to(tests).parts[0], len(rank)))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Leave written files to the operating system: no test cuts the power, and a run waits 100 times."""
    from edanas.core import archive

    assert archive._SYNCHRONOUS == "FULL"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        patch.setattr(archive, "_SYNCHRONOUS", "OFF")
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_spare_cores() -> Iterator[None]:
    """Let the executor `auto` start no processes for runs that take long because the machine is busy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edanas.executors.spare_cores.PATIENCE", math.inf)
        yield


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> None:
    """Seed the draws of fixtures that several tests share, whichever test comes first."""
    if fixturedef.scope != "function":
        _seed_generators()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Seed the draws of each test, so that they do not depend on the tests before it."""
    _seed_generators()


def _seed_generators() -> None:
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global generator is meant
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    # `mktemp` reads the folder of all temporary folders for each of thousands of tests.
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path_factory.getbasetemp() / "homes" / uuid4().hex))
    monkeypatch.delenv("EDANAS_PLUGINS", raising=False)
