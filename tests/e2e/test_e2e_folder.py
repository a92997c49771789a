"""The automatic preset for a folder of images, in a dry run and in a resumed run."""

import re
import tomllib
from pathlib import Path

import pytest
from tiny_runs import SETTINGS, Edanas, result_of

SUITS = (
    "120 grey images in 3 classes, with a median side of 8 px; networks read them at 8 px. "
    "The supernet is trained on 60 images {}."
)


@pytest.fixture
def tiny_without_preset(tmp_path: Path) -> Path:
    """A settings file of a short run with neither a preset nor a split; epochs bound it instead of a time."""
    path = tmp_path / "tiny.toml"
    path.write_text(
        re.sub(r"\[split\]\n(.+\n)+", "", SETTINGS.replace('preset = "quick"\n', "time_limit = 0\n"))
    )
    return path


def test_a_dry_run_names_the_chosen_settings_and_the_reasons(edanas: Edanas, pictures: Path) -> None:
    output = edanas("run", "--data", pictures, "--dry-run", "--set", "threads=1")
    assert output.code == 0
    first, family, suits, *_ = output.err.splitlines()
    assert first.startswith("This run is planned for 30 min in all, since neither a preset nor a time limit")
    assert family.startswith("Images of 8 px get dense networks (bundle 'resnet-sm')")
    assert SUITS.format("in batches of 16, for as many epochs as the time limit allows") in suits
    assert "`--preset quick` takes minutes" in output.err
    assert "18 calibration and 18 validation images are few" in output.err
    assert 'preset = "auto"' in output.out
    assert "\ntime_limit = 1800.0\n" in output.out
    assert "\nseconds here: about 30 min\n" in output.out


def test_a_run_keeps_the_preset_that_was_chosen(
    edanas: Edanas, pictures: Path, tiny_without_preset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = ("run", "--config", tiny_without_preset, "--data", pictures, "--out", out)
    output = edanas(*command, "--max-evals", 2)
    assert output.code == 0
    # The settings file overrides the preset, and the message names the file's values.
    assert SUITS.format("for 2 epochs in batches of 32, and each result for 1 epoch") in output.err
    assert result_of(out)["samples"] == {"train": 60, "calibration": 18, "validation": 18, "test": 24}
    saved_settings = tomllib.loads((out / "config.toml").read_text())
    assert saved_settings["preset"] == "auto"
    assert edanas(*command, "--max-evals", 3).code == 0
    # The saved settings repeat the run under the same preset.
    output = edanas("run", "--config", out / "config.toml", "--out", out, "--max-evals", 3)
    assert output.code == 0
    assert "already complete" in output.err
    output = edanas(*command, "--preset", "quick", "--max-evals", 3)
    assert output.code == 2
    assert "the preset was auto, now quick; " in output.err
