"""Every command of the page on supernets builds the supernet that it names, with its options."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import make_space
from edanas.run.layers import layered_settings, user_layers

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "supernets.md").read_text(encoding="utf-8")

COMMANDS = [line for line in PAGE.splitlines() if line.startswith("edanas run ")]


def flags(command):
    words = shlex.split(command)[2:]
    pairs = list(zip(words[::2], words[1::2], strict=True))
    named = {flag.removeprefix("--"): value for flag, value in pairs if flag in ("--plugin", "--preset")}
    return named, [value for flag, value in pairs if flag == "--set"], dict(pairs).get("--config")


def block(language):
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return code


@pytest.mark.parametrize("command", COMMANDS)
def test_the_supernet_can_be_made(command, tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(block("python"))
    (tmp_path / "authors.toml").write_text(block("toml"))
    monkeypatch.chdir(tmp_path)
    registry = Registry(load_plugins())
    provider, space = make_space(registry, layered_settings(registry, user_layers(*flags(command))))
    assert provider.exit_points >= 1
    assert provider.exit_channels()
    assert space.largest()["resolution"] >= 8


@pytest.mark.parametrize("preset", ["quick", "auto"])
def test_the_authors_layers_are_the_providers_own(preset, tmp_path):
    path = tmp_path / "authors.toml"
    path.write_text(block("toml"))
    registry = Registry(load_plugins())
    chosen = layered_settings(registry, user_layers({"preset": preset}, (), path)).supernet.options
    # A preset may set sizes of images and features.
    layers_of = chosen.keys() - {"resolutions", "stem_stride", "stage_strides"}
    own = registry.parameters("supernet provider", "ofa-mbv3")
    assert len(layers_of) == 6
    for name in layers_of:
        assert np.array_equal(chosen[name], own[name].default)
