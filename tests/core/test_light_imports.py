"""Modules that the command line needs before any work begins import no heavy package."""

import subprocess
import sys

import pytest

NAMES = (
    *("errors", "version", "deprecation", "progress", "amounts", "markers", "convert", "machine"),
    *("notes", "trust", "runfolder", "moved_modules"),
)
WITH_NUMPY = ("types", "settings", "config", "space", "costs", "archive", "devices")
HEAVY = {"torch", "pandas", "scipy", "sklearn", "matplotlib", "pymoo", "rich", "typer"}


@pytest.mark.parametrize(("names", "refused"), [(NAMES, HEAVY | {"numpy"}), (WITH_NUMPY, HEAVY)])
def test_a_light_module_imports_no_heavy_package(names: tuple[str, ...], refused: set[str]) -> None:
    lines = ["import sys", "import edanas", *(f"import edanas.core.{name}" for name in names)]
    code = "\n".join([*lines, "print(*sys.modules)"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not refused & set(done.stdout.split())
