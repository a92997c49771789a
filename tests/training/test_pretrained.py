"""Supernets that come with the package."""

import json
from pathlib import Path

import pytest
import torch
from pretrainer import registry
from safetensors.torch import load_file

from edanas.compose import compose
from edanas.core.config import to_plain
from edanas.core.progress import Silent
from edanas.evaluation.shared import SharedEvaluation
from edanas.layering import layered_settings
from edanas.provenance import digest_of_file
from edanas.training.weights import PRETRAINED, find, names, read_recipe

FILES = sorted(PRETRAINED.glob("*.safetensors"))


def test_there_is_one_for_small_photographs() -> None:
    assert find("cifar10-mbv3") == PRETRAINED / "cifar10-mbv3.safetensors"
    assert "cifar10-mbv3" in names()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_small_and_is_what_its_recipe_says(file: Path) -> None:
    beside = json.loads(file.with_suffix(".json").read_text())
    assert file.stat().st_size <= 16 * 2**20
    assert beside.pop("sha256") == digest_of_file(str(file))
    assert beside == read_recipe(file)
    assert "/" not in beside["settings"]["data"]


def test_a_run_of_its_preset_on_other_images_begins_with_it(tmp_path: Path) -> None:
    given = {"preset": "cifar", "weights": "cifar10-mbv3", "training.epochs": 0, "threads": 1}
    settings = layered_settings(registry(), [("test", given)])
    assert to_plain(settings)["supernet"] == read_recipe(FILES[0])["settings"]["supernet"]
    evaluation = SharedEvaluation(compose(registry(), settings, tmp_path, Silent()).workbench)
    evaluation.prepare(Silent())
    kept = load_file(FILES[0])
    own = evaluation._network.state_dict()  # type: ignore[union-attr]
    assert set(own) == set(kept) - {"trained_on"}
    # Digits are grey: the stem sees the sum of red, green and blue.
    other = {name for name in own if not torch.equal(own[name], kept[name].to(own[name].dtype))}
    assert len(other) == 1
    (stem,) = other
    assert torch.allclose(own[stem], kept[stem].float().sum(1, keepdim=True))
