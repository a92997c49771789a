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
    """A virtual environment: its interpreter and its folder of packages."""

    python: Path
    site: Path

    @classmethod
    def make(cls, folder: Path, *shared: Path | str) -> "Environment":
        """Create one in `folder`; its path ends with the `shared` folders and this environment's packages."""
        venv.create(folder, with_pip=False, symlinks=True)
        (site,) = (folder / "lib").glob("python*/site-packages")
        paths = [*map(str, shared), sysconfig.get_path("purelib")]
        (site / "shared.pth").write_text("\n".join([*paths, ""]))
        return cls(folder / "bin" / "python", site)

    def install(self, wheel: Path) -> None:
        """Unpack a wheel, as an installer does, without its scripts."""
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.site)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run this environment's Python with `arguments` and additional environment `variables`."""
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
    """Build the `sdist` or `wheel` of the project in `source` into the new folder `out`; return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (archive,) = out.iterdir()
    return archive


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack a source distribution and return the folder that it contains."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (inside,) = folder.iterdir()
    return inside
