"""Settings of the whole suite: workers, one thread in each, no time limits, no plugins of the user."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Read by whatever computes, in this process, in its workers and in the programs that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

# A suite that was started in the background ignores Ctrl-C, and so would the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A loaded machine is slow, not wrong: neither an example nor the drawing of examples has a time limit.
settings.register_profile("edanas", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edanas")

MOST = 4
"""Workers at most: each holds torch and its nets, and the longest file sets the pace from there on."""

FIRST = (
    "docs",
    "test_quality.py",
    "e2e",
    "examples",
    "packaging",
    "scaffolding",
    "faults",
    "benchmarks",
    "executors",
    "cli",
)
"""Where long tests are, the longest first, so that no worker begins one when the others are done."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """None for a file or a test of its own: workers would take longer to start than it takes."""
    from edanas.core.machine import usable_cores

    named = [Path(argument.partition("::")[0]) for argument in config.args]
    return 0 if len(named) == 1 and named[0].suffix == ".py" else min(MOST, usable_cores())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long ones first; the order inside a folder stays."""
    here = Path(__file__).parent
    rank = {folder: place for place, folder in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.path.relative_to(here).parts[0], len(rank)))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("EDANAS_PLUGINS", raising=False)
