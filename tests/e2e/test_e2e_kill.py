"""Killed or interrupted anywhere, a run goes on to the result of one that was left alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import killer
import pytest
from tiny_runs import Edanas, recorded, result_of
from waiting import PATIENCE

from edanas.run import console as progress

TIMES = ("seconds", "environment")
SCRIPT = Path(killer.__file__)


def same(folder: Path, undisturbed: Path) -> None:
    """Everything equal but for times: the archive, the result, the networks to the last byte."""
    assert recorded(folder) == recorded(undisturbed)
    first, second = ({k: v for k, v in result_of(f).items() if k not in TIMES} for f in (folder, undisturbed))
    assert first == second
    names = {path.name for path in (undisturbed / "models").iterdir()}
    assert {path.name for path in (folder / "models").iterdir()} == names
    for name in (*(f"models/{name}" for name in names), "pareto.csv", "config.toml"):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), name


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    )


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """What the process wrote to standard error until a line held `text`."""
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"ended without '{text}': {seen}")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the killer forks")
def test_killed_at_every_step_of_the_way(
    arguments: tuple[str, ...], undisturbed: Path, tmp_path: Path
) -> None:
    process = start(SCRIPT, *arguments, "--out", tmp_path / "run")
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    ended: list[str] = out.split()
    # Each life was ended at its next-later step, so kills fell into every part of a run.
    for part in ("training", "archive", "search", "results", "single-exit", "writing"):
        assert part in ended, ended
    same(tmp_path / "run", undisturbed)


def test_a_killed_command_is_resumed_to_the_same_end(
    edanas: Edanas, arguments: tuple[str, ...], undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start("-m", "edanas.cli", *arguments, "--out", out, "-v")
    seen = wait_for(process, "iteration 0: ")
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL
    whole, before = recorded(undisturbed), recorded(out)
    assert before == whole[: len(before)]
    # Durable once its line is printed.
    assert before[0][1].candidate.id in seen
    told = edanas(*arguments, "--out", out)
    assert told.code == 0, told.err
    same(out, undisturbed)


def test_a_second_process_is_told_who_holds_the_folder_and_ctrl_c_ends_the_first(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start("-m", "edanas.cli", *arguments, "--out", out, "--set", "training.epochs=100000")
    wait_for(process, "Training the supernet: 0 of")
    for option in ([], ["--overwrite"]):
        told = edanas(*arguments, "--out", out, *option)
        assert told.code == 2
        assert f"{out} is used by process {process.pid} on " in told.err
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err.splitlines()[-1] == (
        f"Interrupted; the results so far are kept in {out}. To resume: the same command with --out {out}"
    )
    assert "Traceback" not in err
    # Its lock went with it.
    assert edanas(*arguments, "--out", out, "--overwrite", "--max-evals", 2).code == 0


@pytest.mark.parametrize("label", ["Training the supernet", "Search", "Fine-tuning the results"])
def test_ctrl_c_in_any_part_says_how_to_go_on(
    edanas: Edanas,
    arguments: tuple[str, ...],
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    label: str,
) -> None:
    out, advance = tmp_path / "run", progress._LineBar.advance

    def interrupting(bar: Any, *values: Any, **named: Any) -> None:
        advance(bar, *values, **named)
        if bar._label == label and bar.done == 2:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(progress._LineBar, "advance", interrupting)
        told = edanas(*arguments, "--out", out)
    assert (told.code, told.out) == (130, "")
    assert f"{label}: stopped at 2 of" in told.err
    assert told.err.splitlines()[-1].endswith(f"To resume: the same command with --out {out}")
    assert "Error" not in told.err
    told = edanas(*arguments, "--out", out)
    assert told.code == 0, told.err
    same(out, undisturbed)
