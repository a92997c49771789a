"""The options of a run, and the flags that set them."""

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

import edanas
from edanas.cli.application import app
from edanas.cli.flags import SEARCH_ONLY
from edanas.run.options import RunOptions

ALL = {field.name for field in fields(RunOptions)}


def test_search_has_an_argument_for_each_option_but_the_download() -> None:
    assert set(inspect.signature(edanas.search).parameters) >= ALL - {"download"}


@pytest.mark.parametrize(
    ("command", "names"),
    [("run", ALL), ("train-supernet", ALL - set(SEARCH_ONLY)), ("tabulate", ALL - set(SEARCH_ONLY))],
)
def test_commands_have_a_flag_for_each_option(command: str, names: set[str]) -> None:
    callback = next(info.callback for info in app.registered_commands if info.name == command)
    assert callback is not None
    assert set(inspect.signature(callback).parameters) >= names
    assert "options" not in inspect.signature(callback).parameters


def test_flags_reach_the_layers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "a.toml"
    config.write_text("seed = 1")
    passed = []

    def stop(registry: object, layers: object, *_: object, **__: object) -> None:
        passed.append(layers)
        raise KeyboardInterrupt

    monkeypatch.setattr("edanas.run.announcement.layered_settings", stop)
    flags = [
        "--data",
        "digits",
        "--download",
        "--max-evals",
        "9",
        "--set",
        "threads=1",
        "--config",
        str(config),
    ]
    assert CliRunner().invoke(app, ["run", *flags, "--config", str(config)]).exit_code == 130
    arguments = {"data": "digits", "search.max_evals": 9, "data.download": True}
    named = ("the arguments", {"data": "digits"})
    own = ("--set", {"threads": 1}), ("the arguments", arguments)
    assert passed == [[(str(config), {"seed": 1}), named, *own]]
