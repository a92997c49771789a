"""The wheel, built from the source distribution and installed alone in a new environment."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fresh_environments import ROOT, Environment, build, unpack

import edanas

CLI = ("-m", "edanas.cli")

TINY = (
    "threads=1",
    'surrogates=["rbf"]',
    "recalibration=32",
    "search={initial=2, iterations=0, results=1}",
    "training={epochs=1, batch_size=256}",
    "finetune={epochs=0}",
    "baseline={epochs=0}",
    "supernet={widths=[0.1], resolutions=[8], depths=[1], kernels=[3], final_expand=64, last_width=64}",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    source = unpack(build(ROOT, "sdist", folder / "sdist"), folder / "source")
    return build(source, "wheel", folder / "wheel")


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment.make(tmp_path_factory.mktemp("fresh") / "env")
    environment.install(wheel)
    return environment


def in_repository(*patterns: str) -> Iterator[str]:
    for pattern in patterns:
        for path in (ROOT / "edanas").rglob(pattern):
            yield path.relative_to(ROOT).as_posix()


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}
    assert tops == {"edanas", f"edanas-{edanas.__version__}.dist-info"}
    expected = set(in_repository("*.py", "*.tmpl", "*.css", "*.js", "*.html", "py.typed"))
    assert {"edanas/py.typed", "edanas/scaffolding/templates/kinds/objective.tmpl"} <= expected
    assert {Path(name).suffix for name in expected} >= {".css", ".js"}
    assert expected - names == set()


def test_the_installed_command_is_that_of_the_wheel(environment: Environment) -> None:
    code = "import edanas, importlib.metadata as m; print(edanas.__file__, m.version('edanas'))"
    process = environment.run("-c", code)
    assert process.stdout.split() == [str(environment.site / "edanas" / "__init__.py"), edanas.__version__], (
        process.stderr
    )
    (script,) = (environment.site / f"edanas-{edanas.__version__}.dist-info").glob("entry_points.txt")
    assert "edanas = edanas.cli:main" in script.read_text()
    assert environment.run(*CLI, "--version").stdout == f"edanas {edanas.__version__}\n"


def test_the_installed_package_lists_its_plugins_and_none_is_broken(environment: Environment) -> None:
    listing: dict[str, Any] = json.loads(environment.run(*CLI, "plugins", "--json", EDANAS_PLUGINS="").stdout)
    assert listing["broken"] == listing["conflicts"] == []
    assert "mbv3-sm" in {entry["name"] for entry in listing["entries"]}


def test_the_installed_package_finishes_a_search(environment: Environment, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = environment.run(
        *CLI, "run", "--out", str(out), *(f"--set={each}" for each in TINY), EDANAS_PLUGINS=""
    )
    assert process.returncode == 0, process.stderr
    result = json.loads((out / "result.json").read_text())
    assert result["evaluations"] == 2
    # Networks of a search this short may all be single-exit.
    rows = result["front"] + result["static_front"]
    assert rows
    assert all((out / row["model"]).exists() for row in rows)
    assert (out / "report.html").exists()


def test_a_new_plugin_is_installed_from_its_wheel_and_listed(
    environment: Environment, tmp_path: Path
) -> None:
    source = tmp_path / "edanas-agreement"
    process = environment.run(*CLI, "new-plugin", "edanas-agreement", "--out", str(source))
    assert process.returncode == 0, process.stderr
    environment.install(build(source, "wheel", tmp_path / "wheel"))
    listing = json.loads(environment.run(*CLI, "plugins", "--json").stdout)
    (entry,) = [each for each in listing["entries"] if each["owner"] == "edanas-agreement"]
    assert (entry["kind"], entry["name"], entry["version"]) == (
        "confidence criterion",
        "agreement",
        "0.1.0",
    )
