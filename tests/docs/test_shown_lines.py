"""Every line of a page or README that starts with `edanas` is accepted, and every run among them is short.

A dry run composes a run: it reads the data, builds networks and counts, and refuses what the run would
refuse. Here, steps of training are not measured, and small stand-ins replace the reader's files.
"""

import functools
import importlib
import re
import shlex
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from edanas.cli.application import app
from edanas.data.digits import Digits
from edanas.plugins.manager import Plugin, load_plugins
from edanas.plugins.registry import Registry
from edanas.run.announcement import announced_settings
from edanas.run.estimate import estimate
from edanas.run.options import RunOptions
from edanas.scaffolding import NewPackage

ROOT = Path(__file__).parents[2]

COMMANDS: Any = typer.main.get_command(app).commands  # type: ignore[attr-defined]

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
"""Classes of the stand-ins for photographs: those of the supernet that ships with the package."""

SPEED = 1e10
"""Multiply-adds per second of one thread, which a dry run would measure."""

LIMIT = 600
"""Largest duration in seconds of a run on the digits."""

LONG = ("best", "paper", "paper-code")
"""Presets that take hours, as their pages say."""

OWN_FILES = re.compile(r"\w+\.yaml|\w+\.safetensors|path/to/ofa|runs/first$|sqlite:///")
"""Files that only the reader has; of a line with such a file, the settings alone are checked."""


def shown_lines() -> Iterator[str]:
    pages, examples = (ROOT / "docs").rglob("*.md"), ROOT.glob("examples/*/README.md")
    paths = [ROOT / "README.md", *sorted(pages), *sorted(examples)]
    for path in paths:
        if "_build" not in path.parts and "gallery" not in path.parts:
            for block in re.findall(r"^```[^\n]*\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
                for line in block.replace("\\\n", " ").splitlines():
                    if called := re.match(r"(?:\$ )?(?:uv run )?edanas ([a-z-]+ .*|[a-z]+)$", line.strip()):
                        yield shlex.join(shlex.split(called[1], comments=True))


LINES = list(dict.fromkeys(shown_lines()))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Return the registry of the built-in plugins, the example packages and the package of the first line."""
    package = tmp_path_factory.mktemp("package") / "edanas-agreement"
    NewPackage("edanas-agreement", ("confidence criterion",)).write(package)
    modules = {package / "src": "edanas_agreement.confidence_criterion"}
    for folder in sorted(ROOT.glob("examples/*/src")):
        modules[folder] = next(each.name for each in folder.glob("edanas_*") if each.suffix == "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDANAS_PLUGINS", "")
        host = load_plugins()
        for folder, name in modules.items():
            patch.syspath_prepend(str(folder))
            host.load(Plugin(name, name, "0"), functools.partial(importlib.import_module, name))
    assert host.broken == []
    return Registry(host)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with stand-ins for the files of the lines."""
    folder, rng = tmp_path_factory.mktemp("reader"), np.random.default_rng(0)
    for name in ("photos", "path/to/images", "FOLDER"):
        for number in range(120):
            path = folder / name / CLASSES[number % 10] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (48, 48, 3), dtype=np.uint8)).save(path)
    for name in ("recordings", "spoken-digits"):
        for number in range(60):
            path = folder / name / "ab"[number % 2] / f"{'xyzuvw'[number % 6]}_{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(rng.integers(-9999, 9999, 2000, dtype=np.int16).tobytes())
    series = rng.normal(size=(80, 3, 40)).astype(np.float32)
    np.savez(folder / "epilepsy.npz", X=series, y=np.arange(80) % 4)
    (folder / "my-settings.toml").write_text("seed = 3\n")
    for name, page, pattern in (
        ("nets.py", "supernets", r"```python\n(from torch.*?)```"),
        ("authors.toml", "supernets", r"```toml\n(.*?)```"),
        ("my-board.toml", "microcontroller", r"```toml\n(.*?)```"),
    ):
        text = (ROOT / "docs" / "howto" / f"{page}.md").read_text()
        (folder / name).write_text(re.findall(pattern, text, re.DOTALL)[0])
    return folder


def options_of(words: list[str]) -> RunOptions:
    """Return the options of a line, which the command's own parser reads."""
    command = COMMANDS[words[0]]
    values = command.make_context(words[0], words[1:]).params
    known = RunOptions.__dataclass_fields__
    return RunOptions(**{name: value for name, value in values.items() if name in known})


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_accepted_and_short(
    line: str, registry: Registry, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("EDANAS_TRUST_CODE", "1")
    monkeypatch.setattr("edanas.run.estimate.seconds_per_sample", lambda *_: 0.0)
    monkeypatch.setattr(Digits, "load", functools.cache(Digits.load))
    name, *rest = words = shlex.split(line, comments=True)
    assert name in COMMANDS
    if name not in ("run", "train-supernet", "train-teacher", "tabulate"):
        COMMANDS[name].make_context(name, rest, resilient_parsing=True)
        return
    settings = announced_settings(registry, options_of(words), lambda _: None)
    if name != "run" or any(map(OWN_FILES.search, words)):
        return
    expected = estimate(registry, settings)
    if settings.data.name == "digits" and settings.preset not in LONG:
        assert (settings.time_limit or expected["total_macs"] / SPEED) <= LIMIT
