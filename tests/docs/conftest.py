"""Build the site once, with warnings as errors and running tutorials."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = "import no_disk_waits, sys; from sphinx.cmd.build import main; sys.exit(main(sys.argv[1:]))"
SUPPORT = str(ROOT / "tests" / "support")
READ = ("docs", "examples", "README.md", "CHANGELOG.md", "pyproject.toml")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built pages, made from a copy of the sources, so that tutorials run again."""
    folder = tmp_path_factory.mktemp("site")
    source, scratch = folder / "source", folder / "scratch"
    scratch.mkdir()
    for name in READ:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, source / name)
    for name in ("_build", "gallery"):
        shutil.rmtree(source / "docs" / name, ignore_errors=True)
    command = ["-c", BUILD, "-W", "--keep-going", "-q", "-b", "html", "docs", str(folder / "html")]
    outcome = subprocess.run(
        [sys.executable, *command],
        cwd=source,
        env={**os.environ, "EDANAS_PLUGINS": "", "TMPDIR": str(scratch), "PYTHONPATH": SUPPORT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return folder / "html"
