"""Supernets that come with the package."""

import json
from pathlib import Path

import pytest
import torch
from pretrainer import registry
from safetensors.torch import load_file

from edanas.core.config import to_plain
from edanas.core.errors import ConfigError
from edanas.core.progress import Silent
from edanas.evaluation.shared import SharedEvaluation
from edanas.run.compose import compose
from edanas.run.layers import layered_settings
from edanas.run.provenance import digest_of_file
from edanas.training.supernet_file import PRETRAINED, find, names, read_recipe

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


def evaluation(folder: Path, epochs: int) -> SharedEvaluation:
    """Of digits, which are not what it was trained on."""
    given = {"preset": "cifar", "weights": "cifar10-mbv3", "training.epochs": epochs, "threads": 1}
    settings = layered_settings(registry(), [("test", given)])
    assert to_plain(settings)["supernet"] == read_recipe(FILES[0])["settings"]["supernet"]
    return SharedEvaluation(compose(registry(), settings, folder, Silent()).workbench)


def test_a_run_of_its_preset_on_other_images_begins_with_it(tmp_path: Path) -> None:
    own = evaluation(tmp_path, epochs=1).trainer(Silent()).network.state_dict()
    kept = load_file(FILES[0])
    assert set(own) == set(kept) - {"trained_on"}
    other = {name for name in own if not torch.equal(own[name], kept[name].to(own[name].dtype))}
    # Ten digits are not CIFAR-10's ten classes, and grey: the stem sees the sum of red, green and blue.
    answering = {name for name in own if own[name].shape[:1] == (10,)}
    assert set() < answering < other
    (stem,) = other - answering
    assert torch.allclose(own[stem], kept[stem].float().sum(1, keepdim=True))


def test_other_classes_are_not_judged_by_layers_that_nobody_trained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        evaluation(tmp_path, epochs=0).prepare(Silent())
    said = str(refused.value)
    assert said.startswith("training.epochs: found 0, and weights ")
    assert "cifar10-mbv3" in said
    assert "class 1 was 'airplane', and here it is '0'" in said
    assert "allowed: 1 or more" in said
