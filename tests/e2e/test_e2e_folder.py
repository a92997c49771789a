"""A folder of images with no preset named: settings that suit it, in a dry run and in a run that goes on."""

import tomllib
from pathlib import Path

import pytest
from tiny_runs import SETTINGS, Edanas, result_of

SUITS = "120 grey images in 3 classes, 8 px: read at {} px; 60 of them train the supernet for {} epochs"


@pytest.fixture
def tiny_without_preset(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(SETTINGS.replace('preset = "quick"\n', ""))
    return path


def test_a_dry_run_says_what_was_chosen_and_why(edanas: Edanas, pictures: Path) -> None:
    told = edanas("run", "--data", pictures, "--dry-run", "--set", "threads=1")
    assert told.code == 0
    assert SUITS.format(16, 200) in told.err
    assert "`--preset quick` takes minutes" in told.err
    assert "18 calibration and 18 validation images are few" in told.err
    assert 'preset = "auto"' in told.out


def test_a_run_keeps_the_preset_that_was_chosen(
    edanas: Edanas, pictures: Path, tiny_without_preset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run = ("run", "--config", tiny_without_preset, "--data", pictures, "--out", out)
    told = edanas(*run, "--max-evals", 2)
    assert told.code == 0
    # What the file says counts more, and is what is told.
    assert SUITS.format(8, 2) in told.err
    assert result_of(out)["samples"] == {"train": 60, "calibration": 18, "validation": 18, "test": 24}
    kept = tomllib.loads((out / "config.toml").read_text())
    assert kept["preset"] == "auto"
    assert edanas(*run, "--max-evals", 3).code == 0
    # The file it left repeats it, under the name of the same preset.
    told = edanas("run", "--config", out / "config.toml", "--out", out, "--max-evals", 3)
    assert told.code == 0
    assert "nothing is left to do" in told.err
    told = edanas(*run, "--preset", "quick", "--max-evals", 3)
    assert told.code == 2
    assert "preset: was 'auto', now 'quick'" in told.err
