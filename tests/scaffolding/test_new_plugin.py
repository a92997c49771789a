"""A new package works as it is written, whatever it offers; names that cannot be are refused."""

import os
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from edanas import scaffolding
from edanas.cli import main
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import KINDS
from edanas.scaffolding import NewPackage, templates

KIND_NAMES = tuple(kind.name for kind in KINDS)


def test_every_kind_has_a_template_and_every_template_a_kind() -> None:
    assert tuple(templates()) == KIND_NAMES
    folder = files(scaffolding) / "templates" / "kinds"
    result = {path.name for path in folder.iterdir()}
    assert result == {f"{kind.replace(' ', '_')}.tmpl" for kind in KIND_NAMES}


def put_in_place(folder: Path) -> Path:
    """Install a package as an installer would: the folder that Python finds it in, with its metadata."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    info = folder / "src" / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = "\n".join(f"{k} = {v}" for k, v in project["entry-points"]["edanas"].items())
    (info / "entry_points.txt").write_text(f"[edanas]\n{points}\n")
    return folder / "src"


LISTED = """
import sys
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry

registry = Registry(load_plugins())
for kind, name, owner in (line.split(",") for line in sys.argv[1:]):
    entry = registry.entry(kind, name)
    assert (entry.owner, entry.version) == (owner, "0.1.0"), entry
"""


def test_a_package_of_each_kind_is_found_and_passes_its_own_tests_and_checks(tmp_path: Path) -> None:
    packages = [NewPackage(f"edanas-kind-{number}", (kind,)) for number, kind in enumerate(KIND_NAMES)]
    packages.append(NewPackage("Many_of.them", KIND_NAMES[::5]))
    sources = []
    for package in packages:
        package.write(tmp_path / package.project)
        sources.append(str(put_in_place(tmp_path / package.project)))
    result = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "EDANAS_PLUGINS"))}
    environment = {**result, "PYTHONPATH": os.pathsep.join(sources)}
    offers = [f"{kind},{package.name},{package.project}" for package in packages for kind in package.kinds]
    tests = [str(tmp_path / package.project / "tests") for package in packages]
    runner = ["pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--import-mode=importlib"]
    runner += ["-c", os.devnull, "--rootdir", str(tmp_path), *tests]
    ruff = ["-m", "ruff", "--isolated", "--config", "line-length = 110"]
    for command in (
        ["-c", LISTED, *offers],
        ["-m", *runner],
        [*ruff, "check", "--no-cache", "--select", "A,B,E,F,N,RUF,UP,W", "--ignore", "RUF022", "."],
        [*ruff, "format", "--no-cache", "--check", "."],
    ):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_names_follow_from_one() -> None:
    package = NewPackage("Edanas-My.Rule", ("objective",))
    assert (package.package, package.name) == ("edanas_my_rule", "my-rule")
    text = package.files()["src/edanas_my_rule/objective.py"]
    assert "class MyRuleObjective(" in text
    assert '{"my-rule": MyRuleObjective}' in text


@pytest.mark.parametrize(
    ("name", "kinds", "text"),
    [
        ("my rule", ("objective",), "NAME: found 'my rule'; allowed: letters"),
        ("../rule", ("objective",), "NAME: found '../rule'"),
        ("3d", ("objective",), "NAME: found '3d'"),
        ("rule-", ("objective",), "NAME: found 'rule-'"),
        ("", ("objective",), "NAME: found ''"),
        ("class", ("objective",), "'class' is a keyword of Python"),
        ("rule", ("objectiv",), "--kind: Unknown kind 'objectiv'. Did you mean 'objective'?"),
        ("rule", ("objective", "objective"), "--kind: found .*; allowed: one or more, each once"),
        ("rule", (), "--kind: found"),
    ],
)
def test_names_that_cannot_be_are_refused(name: str, kinds: tuple[str, ...], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        NewPackage(name, kinds)


def test_the_command_writes_into_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new-plugin", "edanas-unwritten"]) == 0
    folder = Path("edanas-unwritten")
    written = {str(path) for path in folder.rglob("*") if path.is_file()}
    assert {str(Path(line)) for line in capsys.readouterr().out.splitlines()[:-2]} == written
    assert str(folder / "src" / "edanas_unwritten" / "confidence_criterion.py") in written


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["rbf", "--kind", "surrogate-model"], "the surrogate model 'rbf' exists already (from edanas)"),
        (["torch"], "a module 'torch' is installed already"),
        (["rule", "--kind", "search_strategi"], "Did you mean 'search strategy'?"),
        (["rule", "--out", "full"], "full: exists; allowed: an empty folder"),
        (["rule", "--out", "full/file"], "full/file: exists"),
        (["rule", "--out", "full/file/deep"], "full/file/deep: cannot be written"),
    ],
)
def test_a_refused_command_writes_nothing(
    arguments: list[str],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    assert main(["new-plugin", *arguments]) == 2
    assert text in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "file"]
    assert (tmp_path / "full" / "file").read_text() == "mine"


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    assert main(["new-plugin", "rule", "--out", str(tmp_path), "--kind", "objective"]) == 0
    assert (tmp_path / "pyproject.toml").exists()
