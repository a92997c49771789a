"""The examples of the page on data run, up to the split of the data, and name the options that exist."""

import re
from pathlib import Path

import pytest

import edanas
from edanas.data.passed_data import data_name
from edanas.data.splits import split
from edanas.plugins.data_sets import data_component
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.layers import layered_settings
from edanas.run.options import RunOptions

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "data.md"


def test_the_examples_run(tmp_path, monkeypatch):
    registry, sizes = Registry(load_plugins()), []

    def read(data, group=None, settings=()):
        name = data_name(data, group or "", dict(settings))
        own = None if name.startswith("arrays:") else group
        resolved = layered_settings(registry, RunOptions(data=name, group=own, settings=settings).layers())
        component = data_component(registry, resolved.data)
        loaded = registry.create("data set", component.name, component.options).load(12, 0)
        parts = split(loaded, resolved.split, 0)
        sizes.append((len(parts.train), len(parts.test), parts.train.classes, len(set(loaded.groups))))

    monkeypatch.setenv("EDANAS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(edanas, "search", read, raising=False)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec("\n".join(blocks), {})
    assert len(sizes) == PAGE.read_text(encoding="utf-8").count("edanas.search(data=")
    assert {classes for _, _, classes, _ in sizes} == {("no", "yes")}
    assert [groups for *_, groups in sizes] == [0, 0, 0, 0, 0, 0, 0, 30, 30]
    assert [test for _, test, _, _ in sizes][2:4] == [120, 120]


@pytest.mark.parametrize("option", ["layout", "range", "channels", "path_column", "label_column", "group"])
def test_options_on_the_page_exist(option):
    registry = Registry(load_plugins())
    known = {each for name in ("npz", "csv") for each in registry.parameters("data set", name)}
    assert option in known
