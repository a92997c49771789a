"""Fixtures of whole runs on images of 8 x 8 pixels that a tiny network can learn."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import CLASSES, SETTINGS, Edanas, Output, draw_classes

from edanas.cli import main
from edanas.report import plots


@pytest.fixture(autouse=True)
def _empty_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the plots of runs empty, which take a sixth of a short run; shared runs have real plots."""
    draw = plots._save

    def save(figure: Any, target: Path, kind: str) -> None:
        target.touch() if "pareto" in target.name else draw(figure, target, kind)

    monkeypatch.setattr(plots, "_save", save)


@pytest.fixture
def edanas(capfd: pytest.CaptureFixture[str]) -> Edanas:
    """`edanas(argument, ...)` runs the command line in this process."""

    def run(*arguments: object) -> Output:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Output(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 images of 8 x 8 pixels in three class folders, shared by all tests: change copies only."""
    folder = tmp_path_factory.mktemp("pictures")
    draw_classes(folder, CLASSES, 40)
    return folder


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A settings file of a short run."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.toml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture(scope="session")
def arguments(tiny_config: Path, pictures: Path) -> tuple[str, ...]:
    """The command line of a short run, without `--out`."""
    return ("run", "--config", str(tiny_config), "--data", str(pictures))


@pytest.fixture(scope="session")
def reference(arguments: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished, uninterrupted run, shared by all tests: change copies only."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert main([*arguments, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def finished_run(reference: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, which the test may change."""
    return Path(shutil.copytree(reference, tmp_path / "finished"))
