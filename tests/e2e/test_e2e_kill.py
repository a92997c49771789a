"""A run that is killed or interrupted anywhere resumes to the result of an uninterrupted run."""

import os
import signal
from pathlib import Path
from typing import Any

import killer
import pytest
from forked import Forked
from tiny_runs import Edanas, recorded, result_of
from waiting import PATIENCE

from edanas.cli import main
from edanas.run import console as progress

TIMES = ("seconds", "environment", "checksums")


def assert_same_run(folder: Path, reference: Path) -> None:
    """Assert that two runs are equal except for times: archive, result, and networks byte for byte."""
    assert recorded(folder) == recorded(reference)
    first, second = ({k: v for k, v in result_of(f).items() if k not in TIMES} for f in (folder, reference))
    assert first == second
    names = {path.name for path in (reference / "models").iterdir()}
    assert {path.name for path in (folder / "models").iterdir()} == names
    for name in (*(f"models/{name}" for name in names), "pareto.csv", "config.toml"):
        assert (folder / name).read_bytes() == (reference / name).read_bytes(), name


def start(*arguments: object) -> Forked:
    return Forked(lambda: main([str(argument) for argument in arguments]))


def wait_for(process: Forked, text: str) -> str:
    """Return the standard error of a process up to the first line that contains `text`."""
    messages = ""
    for line in process.stderr:
        messages += line
        if text in line:
            return messages
    raise AssertionError(f"ended without '{text}': {messages}")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the killer forks")
def test_a_run_killed_at_every_step_ends_with_the_same_result(
    arguments: tuple[str, ...], reference: Path, tmp_path: Path
) -> None:
    process = Forked(lambda: killer.run_until_finished([*arguments, "--out", str(tmp_path / "run")]))
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    killed_parts: list[str] = out.split()
    # Each process was killed one step later than the one before, so every part of a run had a kill.
    for part in ("training", "archive", "search", "results", "single-exit", "plain", "writing"):
        assert part in killed_parts, killed_parts
    assert_same_run(tmp_path / "run", reference)


def test_a_killed_command_resumes_to_the_same_result(
    edanas: Edanas, arguments: tuple[str, ...], reference: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(*arguments, "--out", out, "-v")
    messages = wait_for(process, "iteration 0: ")
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL
    archive, before = recorded(reference), recorded(out)
    assert before == archive[: len(before)]
    # An evaluation is stored before its line is printed.
    assert before[0][1].candidate.id in messages
    output = edanas(*arguments, "--out", out)
    assert output.code == 0, output.err
    assert_same_run(out, reference)


def test_a_second_process_is_refused_and_ctrl_c_ends_the_first(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(*arguments, "--out", out, "--set", "training.epochs=100000")
    wait_for(process, "Training the supernet: 0 of")
    for option in ([], ["--overwrite"]):
        output = edanas(*arguments, "--out", out, *option)
        assert output.code == 2
        assert f"{out} is used by process {process.pid} on " in output.err
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err.splitlines()[-1] == (
        f"Interrupted; the results so far are kept in {out}. To resume, run the same command with --out {out}"
    )
    assert "Traceback" not in err
    # The lock of the first process is released.
    assert edanas(*arguments, "--out", out, "--overwrite", "--max-evals", 2).code == 0


@pytest.mark.parametrize("part", ["Training the supernet", "Search", "Fine-tuning the results"])
def test_ctrl_c_in_any_part_names_the_command_to_resume(
    edanas: Edanas,
    arguments: tuple[str, ...],
    reference: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
) -> None:
    out, advance = tmp_path / "run", progress._LineBar.advance

    def interrupting(bar: Any, *values: Any, **named: Any) -> None:
        advance(bar, *values, **named)
        if bar._label == part and bar.done == 2:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(progress._LineBar, "advance", interrupting)
        output = edanas(*arguments, "--out", out)
    assert (output.code, output.out) == (130, "")
    assert f"{part}: stopped at 2 of" in output.err
    assert output.err.splitlines()[-1].endswith(f"To resume, run the same command with --out {out}")
    assert "Error" not in output.err
    output = edanas(*arguments, "--out", out)
    assert output.code == 0, output.err
    assert_same_run(out, reference)
