"""Valid and invalid orders of a supernet, and the comparison with a file that exists."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pretrainer import registry, tiny_order
from safetensors.torch import load_file

from edanas.core.errors import ConfigError, RunError
from edanas.core.progress import Silent
from edanas.core.settings import Component, Settings
from edanas.evaluation.shared import SharedEvaluation
from edanas.run.compose import compose
from edanas.run.pretraining import Trained, train_supernet


def train(out: Path, **changes: object) -> Trained:
    return train_supernet(registry(), replace(tiny_order(out), **changes), Silent())


def settings_for(epochs: int, **changes: object) -> Settings:
    settings = tiny_order(Path("x")).settings
    return replace(settings, training=replace(settings.training, epochs=epochs), **changes)  # type: ignore[arg-type]


def test_with_a_total_time_even_no_epochs_do_not_matter(tmp_path: Path) -> None:
    out, idle = tmp_path / "timed.safetensors", settings_for(epochs=0)
    assert not train(out, settings=idle, total_time=0.5, time_limit=0.0).finished
    done = train(out, settings=idle, total_time=0.5)
    assert done.finished
    assert done.steps[0] >= 1
    assert train(out, settings=idle, total_time=0.5).finished


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_time": math.inf}, r"--total-time: found inf; allowed: a finite number of seconds > 0"),
        ({"total_time": math.nan}, r"--total-time: found nan"),
        ({"total_time": 0.0}, r"--total-time: found 0\.0"),
        ({"total_time": -3.0}, r"--total-time: found -3\.0"),
        ({"time_limit": math.nan}, r"--time-limit: found nan; allowed: a number of seconds >= 0"),
        ({"time_limit": -1.0}, r"--time-limit: found -1\.0"),
    ],
)
def test_a_time_that_is_none_is_refused(changes: dict[str, float], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        train(tmp_path / "x.safetensors", **changes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x.json", "m.v1", "x"])
def test_a_name_whose_recipe_would_overwrite_another_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        train(tmp_path / name)
    assert str(refused.value) == (
        f"--out: found '{tmp_path / name}'; allowed: a file name that ends in .safetensors. "
        f"Did you mean '{tmp_path / name}.safetensors'?"
    )
    assert not list(tmp_path.iterdir())


def test_a_criterion_is_a_part_of_what_was_trained(tmp_path: Path) -> None:
    out = tmp_path / "gated.safetensors"
    gated = settings_for(epochs=1, criterion=Component("learned-gate"))
    assert train(out, settings=gated, half=False).finished
    begun = settings_for(epochs=0, criterion=Component("learned-gate"), weights=str(out))
    bench = compose(registry(), begun, tmp_path / "run", Silent()).workbench
    own, stored = SharedEvaluation(bench).trainer(Silent()).network.state_dict(), load_file(out)
    gates = {name for name in own if name.startswith("criterion.")}
    assert gates
    assert all(torch.equal(own[name], stored[name]) for name in gates)
    with pytest.raises(RunError, match=r"Changed: criterion: was 'learned-gate', now 'entropy'"):
        train(out, settings=replace(gated, criterion=Component("entropy")))


def pictures(folder: Path, seed: int) -> Path:
    """Two classes of random pictures."""
    generator = np.random.default_rng(seed)
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        for number in range(40):
            pixels = generator.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_a_folder_of_the_same_name_is_not_the_same_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path / "home"))
    out = tmp_path / "one.safetensors"
    one, other = (
        settings_for(epochs=1, data=Component(str(pictures(tmp_path / name / "train", seed))))
        for seed, name in enumerate(("one", "other"))
    )
    assert train(out, settings=one).finished
    assert train(out, settings=one).finished
    with pytest.raises(RunError, match=r"one\.safetensors holds .* other samples than the samples of"):
        train(out, settings=other)
