"""Devices of workers: resolved where a worker runs, for the GPUs that it has."""

import pickle
from pathlib import Path

import pytest
import torch
from small_runs import workbench

from edanas.core import devices
from edanas.core.devices import assign_gpu, worker_device
from edanas.core.errors import ConfigError, RunError
from edanas.core.joint_executor import JointExecutor
from edanas.core.settings import Settings
from edanas.core.types import SegmentFigures
from edanas.evaluation.measured_times import measure_once
from edanas.executors.process import Process
from edanas.executors.serial import Serial


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(devices, "_assigned", None)
    return monkeypatch


def pretend(patch: pytest.MonkeyPatch, count: int) -> None:
    patch.setattr(torch.cuda, "is_available", lambda: count > 0)
    patch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(
    ("name", "count", "assigned", "device"),
    [
        ("auto", 0, None, "cpu"),
        ("auto", 0, 3, "cpu"),
        ("auto", 1, None, "cuda:0"),
        ("auto", 4, 3, "cuda:3"),
        ("auto", 4, 6, "cuda:2"),
        ("cuda", 2, 1, "cuda:1"),
        ("cuda:1", 1, None, "cuda:0"),
        ("cuda:1", 4, 3, "cuda:1"),
        ("cpu", 4, 3, "cpu"),
    ],
)
def test_a_worker_resolves_its_own_device(
    name: str, count: int, assigned: int | None, device: str, gpus: pytest.MonkeyPatch
) -> None:
    pretend(gpus, count)
    if assigned is not None:
        assign_gpu(assigned)
    assert str(worker_device(Settings(device=name))) == device


def test_a_worker_without_the_gpus_of_the_settings_says_so(gpus: pytest.MonkeyPatch) -> None:
    pretend(gpus, 0)
    with pytest.raises(ConfigError, match="'cuda' does not exist; found 0 CUDA devices"):
        worker_device(Settings(device="cuda"))


def test_a_workbench_takes_the_device_of_the_process_that_loads_it(
    gpus: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench = workbench(tmp_path, device="auto")
    pickled = pickle.dumps(bench)
    assert bench.device == torch.device("cpu")
    pretend(gpus, 2)
    assign_gpu(1)
    assert pickle.loads(pickled).device == torch.device("cuda:1")


@pytest.mark.parametrize(
    ("gpus_of_a_worker", "workers", "count", "text"),
    [
        (
            0.5,
            3,
            1,
            r"executor.gpus: found 0.5 with executor.workers 3; GPUs needed: 2, on this machine: 1",
        ),
        (1.0, 1, 0, "on this machine: 0"),
        (-0.1, 1, 1, r"executor.gpus: found -0.1; allowed: a share"),
        (1.5, 1, 4, r"executor.gpus: found 1.5; allowed: a share"),
    ],
)
def test_a_share_of_a_gpu_that_does_not_fit_is_refused(
    gpus_of_a_worker: float, workers: int, count: int, text: str, gpus: pytest.MonkeyPatch
) -> None:
    pretend(gpus, count)
    with pytest.raises(ConfigError, match=text):
        Process(workers=workers, gpus=gpus_of_a_worker)


@pytest.mark.parametrize(("share", "each"), [(0.25, 4), (0.3, 3), (1 / 3, 3), (1.0, 1)])
def test_workers_fill_one_gpu_after_the_other(share: float, each: int, gpus: pytest.MonkeyPatch) -> None:
    pretend(gpus, 2)
    assert Process(workers=2, gpus=share)._workers_per_gpu == each


def test_models_of_devices_are_reported_when_they_appear() -> None:
    kinds, reports = iter(["a", "a", "b", "a", "c"]), []
    joint = JointExecutor(
        Serial(), (abs, str), lambda: next(kinds), lambda every: reports.append(list(every))
    )
    assert list(joint.run(abs, [-1, -2, -3])) == [1, 2, 3]
    assert list(joint.as_completed(str, [4, 5])) == [(0, "4"), (1, "5")]
    assert reports == [["a"], ["a", "b"], ["a", "b", "c"]]


def test_times_of_two_models_of_devices_are_not_mixed(tmp_path: Path) -> None:
    times = SegmentFigures((5, 6), (1,), 1)
    measure_once(tmp_path, "latency", "one", lambda: times, "A100")
    # Times may be read on any device.
    assert measure_once(tmp_path, "latency", "one", lambda: times, "H200") == times
    with pytest.raises(
        RunError, match=r"holds times measured on 'A100', and this process computes on 'H200'"
    ):
        measure_once(tmp_path, "latency", "two", lambda: times, "H200")
