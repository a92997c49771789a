"""Virtual environments with packages installed from wheels, without a network or pip."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Environment:
    """A virtual environment's interpreter, its packages, and how to run things in it."""

    python: Path
    site: Path

    @classmethod
    def make(cls, folder: Path, *shared: Path | str) -> "Environment":
        """A new one in `folder`, which sees the packages of this one behind those in `shared`."""
        venv.create(folder, with_pip=False, symlinks=True)
        (site,) = (folder / "lib").glob("python*/site-packages")
        paths = [*map(str, shared), sysconfig.get_path("purelib")]
        (site / "shared.pth").write_text("\n".join([*paths, ""]))
        return cls(folder / "bin" / "python", site)

    def install(self, wheel: Path) -> None:
        """What an installer does, but for scripts."""
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.site)

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


def build(source: Path, target: str, out: Path) -> Path:
    """The `sdist` or `wheel` of the project in `source`, in the new folder `out`."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (made,) = out.iterdir()
    return made


def unpack(sdist: Path, folder: Path) -> Path:
    """The folder that a source distribution holds."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (inside,) = folder.iterdir()
    return inside
