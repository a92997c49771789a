"""`edanas train-supernet`: the state that it prints, and how to resume."""

from pathlib import Path

import pytest
from pretrainer import tiny_order

from edanas.cli import main
from edanas.core.config import to_toml


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    config = tmp_path / "tiny.toml"
    config.write_text(to_toml(tiny_order(tmp_path / "x").settings))
    return ["train-supernet", "--config", str(config), "--out", str(tmp_path / "digits.safetensors")]


def test_a_segment_in_which_no_step_fitted_says_what_helps(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--time-limit", "0"]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("Step 0 of ")
    assert (
        last == "No step was finished within 0 s. To resume, run the same command with a larger --time-limit"
    )


def test_a_segment_that_made_steps_goes_on_by_the_same_command(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([False, True])
    with monkeypatch.context() as patched:
        patched.setattr("edanas.training.schedule.TimeSlice.is_over", lambda self: next(left))
        assert main([*command, "--time-limit", "60"]) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[0].startswith("Step 1 of ")
    assert output[-1] == "The training is not finished. To resume it, run the same command again"
    assert main(command) == 0
    assert "Written: " in capsys.readouterr().out
