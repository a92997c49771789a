"""What users install: the wheel, made from the source distribution, alone in an environment of its own."""

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
    "supernet={widths=[0.1], resolutions=[8], depths=[1], kernels=[3], final_expand=64, last_width=64}",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    source = unpack(build(ROOT, "sdist", folder / "sdist"), folder / "source")
    return build(source, "wheel", folder / "wheel")


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
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


def test_the_installed_command_is_this_one(fresh: Environment) -> None:
    where = "import edanas, importlib.metadata as m; print(edanas.__file__, m.version('edanas'))"
    told = fresh.run("-c", where)
    assert told.stdout.split() == [str(fresh.site / "edanas" / "__init__.py"), edanas.__version__], (
        told.stderr
    )
    (script,) = (fresh.site / f"edanas-{edanas.__version__}.dist-info").glob("entry_points.txt")
    assert "edanas = edanas.cli:main" in script.read_text()
    assert fresh.run(*CLI, "--version").stdout == f"edanas {edanas.__version__}\n"


def test_it_lists_its_plugins_and_none_is_broken(fresh: Environment) -> None:
    found: dict[str, Any] = json.loads(fresh.run(*CLI, "plugins", "--json", EDANAS_PLUGINS="").stdout)
    assert found["broken"] == found["conflicts"] == []
    assert "mbv3-sm" in {entry["name"] for entry in found["entries"]}


def test_it_searches_to_the_end(fresh: Environment, tmp_path: Path) -> None:
    out = tmp_path / "run"
    told = fresh.run(*CLI, "run", "--out", str(out), *(f"--set={each}" for each in TINY), EDANAS_PLUGINS="")
    assert told.returncode == 0, told.stderr
    result = json.loads((out / "result.json").read_text())
    assert result["evaluations"] == 2
    assert (out / result["front"][0]["model"]).exists()
    assert (out / "report.html").exists()


def test_what_new_plugin_writes_is_installed_from_its_wheel_and_found(
    fresh: Environment, tmp_path: Path
) -> None:
    source = tmp_path / "edanas-agreement"
    told = fresh.run(*CLI, "new-plugin", "edanas-agreement", "--out", str(source))
    assert told.returncode == 0, told.stderr
    fresh.install(build(source, "wheel", tmp_path / "wheel"))
    found = json.loads(fresh.run(*CLI, "plugins", "--json").stdout)
    (entry,) = [each for each in found["entries"] if each["owner"] == "edanas-agreement"]
    assert (entry["kind"], entry["name"], entry["version"]) == (
        "confidence criterion",
        "agreement",
        "0.1.0",
    )
