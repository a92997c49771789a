"""A fresh environment with the example plugin package installed from its wheel, without a network or pip."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "examples" / "edanas-entropy"


@dataclass(frozen=True)
class Environment:
    """A virtual environment's interpreter, and how to run things in it."""

    python: Path

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run this environment's Python with `arguments`, and `variables` set besides."""
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith(("EDANAS_", "PYTHON", "VIRTUAL_ENV"))
        }
        return subprocess.run(
            [str(self.python), *arguments],
            env={**inherited, "OMP_NUM_THREADS": "1", "PYTHONNOUSERSITE": "1", **variables},
            cwd=self.python.parent,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="session")
def entropy_env(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The environment: this one's packages by a .pth file, and the example's wheel unpacked into its own."""
    folder = tmp_path_factory.mktemp("entropy")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    # The repository comes first, so that its edanas is the one that runs.
    (site / "shared.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    source = folder / "source"
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__", "dist", ".*"))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (wheel,) = (source / "dist").glob("edanas_entropy-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return Environment(python)
