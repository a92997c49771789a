"""Tiny runs of the whole program: shapes that a tiny network can learn, or the digits."""

import shutil
from pathlib import Path

import pytest
from tiny_runs import CLASSES, SETTINGS, Edanas, Told, draw_classes

from edanas.cli import main


@pytest.fixture
def edanas(capfd: pytest.CaptureFixture[str]) -> Edanas:
    """`edanas(argument, ...)` runs the program in this process."""

    def run(*arguments: object) -> Told:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Told(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 images of 8 x 8 pixels in three class folders. To be changed only in a copy."""
    folder = tmp_path_factory.mktemp("pictures")
    draw_classes(folder, CLASSES, 40)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of settings that make a run short."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.toml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture(scope="session")
def arguments(tiny: Path, pictures: Path) -> tuple[str, ...]:
    """`run` and what makes it tiny, but for `--out`."""
    return ("run", "--config", str(tiny), "--data", str(pictures))


@pytest.fixture(scope="session")
def undisturbed(arguments: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that came to its end. To be changed only in a copy."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert main([*arguments, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def finished(undisturbed: Path, tmp_path: Path) -> Path:
    """A finished run of the test's own."""
    return Path(shutil.copytree(undisturbed, tmp_path / "finished"))
