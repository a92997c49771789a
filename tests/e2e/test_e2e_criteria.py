"""Every criterion and inference rule by name: searched with, loaded, tuned with labels and without."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import edanas
from edanas.core.types import SelectionScheme
from edanas.model.anatomy import Anatomy
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.thresholds.schemes import exit_costs

CHOSEN: list[dict[str, Any]] = [
    {"criterion": "score-margin", "inference": {"name": "aggregate", "combine": "mean"}},
    {"criterion": "max-probability", "inference": {"name": "aggregate", "combine": "geometric"}},
    {"criterion": "entropy", "inference": {"name": "aggregate", "combine": "learned"}},
    {"criterion": {"name": "patience", "agreeing": 3}, "inference": "early-stop"},
    {"criterion": "learned-gate", "inference": "early-stop"},
    {"criterion": "scheduler", "inference": "early-stop", "evaluation": "finetune"},
]
SHORT = {"search.initial": 3, "search.iterations": 0, "search.results": 1, "training.epochs": 1}


def name_of(component: Any) -> str:
    return component if isinstance(component, str) else component["name"]


def test_every_name_has_its_run() -> None:
    registry = Registry(load_plugins())
    for kind, setting in (("confidence criterion", "criterion"), ("inference rule", "inference")):
        assert {name_of(chosen[setting]) for chosen in CHOSEN} == set(registry.names(kind))


@pytest.mark.parametrize("chosen", CHOSEN, ids=lambda chosen: name_of(chosen["criterion"]))
def test_a_run_by_name(
    chosen: dict[str, Any], tiny: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edanas.thresholds.optimism._REPEATS", 1)
    result = edanas.search(str(pictures), out=tmp_path / "run", config=tiny, settings={**SHORT, **chosen})
    (row,) = result.front
    path = tmp_path / "run" / row["model"]
    network = edanas.load(path)
    assert list(network.scheme.thresholds) == row["thresholds"]
    placed = network.scheme.placed
    assert len(placed) == row["exits"] > 0
    assert list(Anatomy.of(network, 1).costs.heads) == row["head_macs"]

    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 1, 8, 8), generator=generator, dtype=torch.uint8)
    together, alone = network.predict(images), [network(image) for image in images]
    for kind in ("label", "exit"):
        assert getattr(together, kind).tolist() == [int(getattr(each, kind)) for each in alone]

    saved = {name.split(".")[0] for name in load_file(path.with_suffix(".safetensors"))}
    learned = {"criterion"} if chosen["criterion"] in ("learned-gate", "scheduler") else set()
    learned |= {"inference"} if chosen["criterion"] == "entropy" else set()
    assert saved - {"backbone", "heads"} == learned

    tuned = edanas.tune(network, pictures, min_accuracy=0.01)
    assert 0 < tuned.accuracy.here <= 1
    if network.memory:
        assert tuned.scheme.placed == placed
    network.scheme = SelectionScheme(tuple(0.5 if at in placed else None for at in range(4)))
    sure = network.all_exits(images)[1].numpy()
    least, *_, most = exit_costs(Anatomy.of(network, 1).costs, placed)
    again = edanas.retune(network, sure, max_macs=float(least + most) / 2)
    assert again.macs.here <= (least + most) / 2
