"""Each criterion and inference rule: a search, loading, tuning with labels and without."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import edanas
from edanas.core.types import SelectionScheme
from edanas.model.anatomy import Anatomy
from edanas.plugins.registry import Registry
from edanas.thresholds.schemes import exit_costs

CHOICES: list[dict[str, Any]] = [
    {"criterion": "score-margin", "inference": {"name": "aggregate", "combine": "mean"}},
    {"criterion": "max-probability", "inference": {"name": "aggregate", "combine": "geometric"}},
    {"criterion": "entropy", "inference": {"name": "aggregate", "combine": "learned"}},
    {"criterion": {"name": "patience", "agreeing": 3}, "inference": "early-stop"},
    {"criterion": "learned-gate", "inference": "early-stop"},
    {"criterion": "correctness", "inference": "early-stop", "evaluation": "finetune"},
    {"criterion": {"name": "eenet", "steps": 20}, "inference": "early-stop"},
    {"criterion": "uncertainty-gate", "inference": "most-confident"},
    {"criterion": "cumulative-gate", "inference": "early-stop"},
    {"criterion": "score-margin", "inference": "boosted"},
    {"criterion": "score-margin", "inference": "ztw"},
]

LEARNED = ("learned-gate", "correctness", "eenet", "uncertainty-gate", "cumulative-gate")
"""The criteria with weights, which are saved."""

SHORT = {"search.initial": 3, "search.iterations": 0, "search.results": 1, "training.epochs": 1}
SHORT |= {"search.cut": False, "baseline.epochs": 0}


def name_of(component: Any) -> str:
    return component if isinstance(component, str) else component["name"]


def untrimmed(scheme: SelectionScheme, *_: Any) -> tuple[SelectionScheme, int]:
    """Return the scheme, and its number of exit points: nothing is removed."""
    return scheme, len(scheme.thresholds)


def test_every_registered_name_has_a_run(registry: Registry) -> None:
    for kind, setting in (("confidence criterion", "criterion"), ("inference rule", "inference")):
        assert {name_of(choice[setting]) for choice in CHOICES} == set(registry.names(kind))


@pytest.mark.parametrize(
    "choice", CHOICES, ids=lambda choice: f"{name_of(choice['criterion'])}-{name_of(choice['inference'])}"
)
def test_a_run_with_the_criterion_and_rule_can_be_loaded_and_tuned(
    choice: dict[str, Any], tiny_config: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edanas.thresholds.optimism._REPEATS", 1)
    # After one epoch, all samples leave at one exit. Without trimming, the network keeps the others.
    monkeypatch.setattr("edanas.evaluation.trimming.trim_scheme", untrimmed)
    monkeypatch.setattr("edanas.thresholds.trimming.trim_scheme", untrimmed)
    result = edanas.search(
        str(pictures), out=tmp_path / "run", config=tiny_config, settings={**SHORT, **choice}
    )
    (row,) = result.front
    path = tmp_path / "run" / row["model"]
    network = edanas.load(path)
    assert list(network.scheme.thresholds) == row["thresholds"]
    placed = network.scheme.placed
    assert len(placed) == row["exits"] > 0
    assert list(Anatomy.of(network, 1).costs.heads) == row["head_macs"]

    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 1, 8, 8), generator=generator, dtype=torch.uint8)
    batched, single = network.predict(images), [network(image) for image in images]
    for kind in ("label", "exit"):
        assert getattr(batched, kind).tolist() == [int(getattr(each, kind)) for each in single]

    saved = {name.split(".")[0] for name in load_file(path.with_suffix(".safetensors"))}
    learned = {"criterion"} if name_of(choice["criterion"]) in LEARNED else set()
    learned |= {"inference"} if choice["criterion"] == "entropy" or choice["inference"] == "ztw" else set()
    assert saved - {"backbone", "heads"} == learned

    tuned = edanas.tune(network, pictures, min_accuracy=0.01, keep_stages=True)
    assert 0 < tuned.accuracy.here <= 1
    if network.memory:
        assert tuned.scheme.placed == placed
    network.scheme = SelectionScheme(tuple(0.5 if at in placed else None for at in range(4)))
    confidence = network.all_exits(images)[1].numpy()
    least, *_, most = exit_costs(Anatomy.of(network, 1).costs, placed)
    retuned = edanas.retune(network, confidence, max_macs=float(least + most) / 2)
    assert retuned.macs.here <= (least + most) / 2
