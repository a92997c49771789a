"""The executor `ray` on a real Ray of this machine, in programs of their own: Ray may end its process."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from edanas.core.errors import ConfigError
from edanas.executors.ray_worker import payload

pytest.importorskip("ray", reason="the extra `ray` is not installed")

PROGRAM = Path(__file__).parents[1] / "support" / "ray_runs.py"


def program(name: str, folder: Path) -> Any:
    # Names of sockets have at most 107 characters, and other tests' clusters must not be found.
    place = tempfile.mkdtemp(prefix="r", dir="/tmp")
    environment = {**os.environ, "RAY_TMPDIR": place, "RAY_USAGE_STATS_ENABLED": "0"}
    try:
        done = subprocess.run(
            [sys.executable, PROGRAM, name, folder],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if "timed out during startup" in done.stderr:
        pytest.skip("Ray did not start within the 30 s that it gives its processes")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    return program("local", tmp_path_factory.mktemp("ray"))


def test_the_archive_is_that_of_the_serial_executor_though_a_worker_dies(local: Any) -> None:
    assert local["killed"]
    assert local["equal"]


def test_it_conforms(local: Any) -> None:
    assert local["conforms"]


def test_a_cluster_is_started_only_on_request_and_ended_by_its_starter(local: Any) -> None:
    assert local["auto"].startswith("ConfigError: executor.address: found 'auto', where no Ray cluster")
    assert local["squares"] == [4, 9]
    assert local["ended"]
    assert local["stays"]


def test_a_candidate_that_kills_two_workers_has_their_last_lines(local: Any) -> None:
    first, failure, last = local["fatal"]
    assert (first, last) == ("A", "B")
    assert failure.startswith("two workers died on this candidate (")
    assert "the last words" in failure


def test_errors_before_the_first_item_are_the_users(local: Any) -> None:
    error = "ConfigError: executor: a worker of 'ray' cannot start: "
    assert local["unloadable"] == f"{error}OSError: no such supernet file"
    assert local["version"].startswith(f"{error}node ")
    assert "expected 9.9" in local["version"]


@pytest.mark.skipif(
    os.environ.get("EDANAS_RAY_CLUSTER") != "1",
    reason="a cluster of two nodes takes 45 s to start and lose; EDANAS_RAY_CLUSTER=1 runs this test",
)
def test_a_lost_node_costs_nothing_and_a_lost_head_ends_the_run(tmp_path: Path) -> None:
    done = program("cluster", tmp_path)
    assert done["answers"] == [number**2 for number in range(12)]
    assert done["nodes"] == 2
    assert done["head"].startswith("RunError: executor: the Ray cluster at ")
    assert "To resume, start the cluster again and run the same command" in done["head"]


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 0},
        {"cpus": -1.0},
        {"gpus": float("inf")},
        {"gpus": 1.5},
        {"gpus": 1e-05},
        {"threads": -1},
        {"address": "ray://head:10001"},
    ],
)
def test_options_out_of_range_are_named(options: dict[str, Any]) -> None:
    from edanas.executors.ray_cluster import Ray

    ((name, value),) = options.items()
    with pytest.raises(ConfigError, match=f"executor.{name}: found '?{value}'?; allowed"):
        Ray(**options)


@pytest.mark.parametrize(("gpus", "needed"), [(0.4, 3), (2, 10)])
def test_a_machine_with_too_few_gpus_is_refused(gpus: float, needed: int, monkeypatch: Any) -> None:
    from edanas.executors.ray_cluster import Ray

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=f"GPUs needed: {needed}, on this machine: 2"):
        Ray("local", workers=5, gpus=gpus).check()


def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    from edanas.executors.ray_cluster import Ray

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"localhost:{free.getsockname()[1]}"
    with pytest.raises(
        ConfigError, match=f"executor.address: found '{address}', where no Ray cluster answers"
    ):
        Ray(address).check()


def test_large_tensors_are_shared_and_small_ones_are_not() -> None:
    import pickle

    import ray.cloudpickle

    large, small = torch.arange(2**18, dtype=torch.bfloat16).view(4, -1, 2), torch.ones(3)
    data, buffers = payload({"large": large[:, ::2], "small": small}, ray.cloudpickle)
    assert [len(buffer) for buffer in buffers] == []
    data, buffers = payload({"large": large.repeat(4, 1, 1), "small": small}, ray.cloudpickle)
    assert [len(buffer) for buffer in buffers] == [2**21]
    assert len(data) < 2000
    loaded = pickle.loads(data, buffers=buffers)
    assert torch.equal(loaded["large"], large.repeat(4, 1, 1))
    assert torch.equal(loaded["small"], small)
