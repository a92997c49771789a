"""The executor `slurm`, on submitit's cluster of local processes."""

from pathlib import Path
from typing import Any

import pytest
from job_functions import attempt, attempts

from edanas.core.errors import CandidateError, ConfigError
from edanas.executors.slurm import Slurm

pytest.importorskip("submitit", reason="the extra `slurm` is not installed")


@pytest.fixture(autouse=True)
def _support_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))


@pytest.fixture(autouse=True)
def _no_waiting_for_lost_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a result, submitit waits 15 s for a slow file system before it gives the reason."""
    monkeypatch.setattr("submitit.core.core.Job._results_timeout_s", 0)


def test_answers_are_durable_and_jobs_go_on_after_them(tmp_path: Path) -> None:
    names = ("a", "preempted", "b", "dies", "c")
    executor = Slurm("local", workers=2, chunk=4, folder=str(tmp_path / "jobs"))
    answers: list[Any] = list(executor.run(attempt, [(name, tmp_path) for name in names]))
    failure = answers.pop(3)
    assert answers == [name.upper() for name in names if name != "dies"]
    assert isinstance(failure, CandidateError)
    assert str(failure).startswith("two jobs ended on this candidate (")
    counts = {name: attempts(tmp_path, name) for name in names}
    twice = {"preempted", "dies"}
    assert counts == {name: 1 + (name in twice) for name in names}
    executor.close()
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["output"]


def test_an_exception_of_the_function_ends_the_run(tmp_path: Path) -> None:
    executor = Slurm("local", workers=1, folder=str(tmp_path / "jobs"))
    with pytest.raises(RuntimeError, match="ValueError: no such thing"):
        list(executor.run(attempt, [("raises", tmp_path)]))
    executor.close()


def test_a_machine_without_slurm_is_named(tmp_path: Path) -> None:
    executor = Slurm(folder=str(tmp_path / "jobs"))
    with pytest.raises(ConfigError, match=r"'slurm' cannot submit jobs .* executor.cluster=local"):
        executor.check()
    assert list(tmp_path.iterdir()) == []


def test_jobs_that_sbatch_refuses_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = "sbatch: error: Batch job submission failed: Invalid partition name specified"
    for name, line in (
        ("srun", ""),
        ("sbatch", f"cat $1 > {tmp_path}/submitted; echo '{refusal}' >&2; exit 1"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    executor = Slurm(
        folder=str(tmp_path / "jobs"), workers=2, chunk=2, partition="gpuu", parameters="qos=low"
    )
    with pytest.raises(ConfigError, match=rf"cannot submit jobs \({refusal}\); see executor.partition"):
        list(executor.run(attempt, [(name, tmp_path) for name in "abc"]))
    executor.close()
    submitted = (tmp_path / "submitted").read_text().splitlines()
    assert {"#SBATCH --partition=gpuu", "#SBATCH --qos=low", "#SBATCH --array=0-1%2"} <= set(submitted)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cluster": "slrm"}, "cluster: found 'slrm'; allowed: slurm, local"),
        ({"workers": 0}, "workers: found 0; allowed: 1 or more"),
        ({"chunk": 0}, "chunk: found 0; allowed: 1 or more"),
        ({"memory_gb": -1.0}, "memory_gb: found -1.0; allowed: 0 or more"),
        ({"parameters": "qos"}, "parameters: found 'qos'; allowed: `name=value`"),
        ({"timeout": -1.0}, "timeout: found -1.0"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=f"executor.{text}"):
        Slurm(**options)


def test_options_become_those_of_sbatch() -> None:
    executor = Slurm(chunk=4, timeout=100.0, gpus=1, partition="gpu", parameters="qos=low, account=vision")
    assert executor._accepted() == {
        "name": "edanas",
        "cpus_per_task": 1,
        "timeout_min": 7,
        "gpus_per_node": 1,
        "slurm_array_parallelism": 8,
        "slurm_partition": "gpu",
        "slurm_additional_parameters": {"qos": "low", "account": "vision"},
    }
