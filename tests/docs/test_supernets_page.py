"""Every command of the page on supernets finds the supernet that it names, with its options."""

import re
import shlex
from pathlib import Path

import pytest

from edanas.api import layers
from edanas.compose import make_space
from edanas.layering import layered_settings
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "supernets.md").read_text(encoding="utf-8")

COMMANDS = [line for line in PAGE.splitlines() if line.startswith("edanas run ")]


def flags(command):
    words = shlex.split(command)[2:]
    pairs = list(zip(words[::2], words[1::2], strict=True))
    named = {flag.removeprefix("--"): value for flag, value in pairs if flag in ("--plugin", "--preset")}
    return named, [value for flag, value in pairs if flag == "--set"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_supernet_can_be_made(command, tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "nets.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    registry = Registry(load_plugins())
    named, assignments = flags(command)
    provider, space = make_space(registry, layered_settings(registry, layers(named, assignments, None)))
    assert provider.exit_points >= 1
    assert provider.exit_channels()
    assert space.largest()["resolution"] >= 16
