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


def test_a_supernet_for_small_photographs_is_included() -> None:
    assert find("cifar10-mbv3") == PRETRAINED / "cifar10-mbv3.safetensors"
    assert "cifar10-mbv3" in names()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_small_and_matches_its_recipe(file: Path) -> None:
    beside = json.loads(file.with_suffix(".json").read_text())
    assert file.stat().st_size <= 16 * 2**20
    assert beside.pop("sha256") == digest_of_file(str(file))
    assert beside == read_recipe(file)
    assert "/" not in beside["settings"]["data"]


def evaluation(folder: Path, epochs: int) -> SharedEvaluation:
    """Settings for digits, which the supernet was not trained on."""
    values = {"preset": "cifar", "weights": "cifar10-mbv3", "training.epochs": epochs, "threads": 1}
    settings = layered_settings(registry(), [("test", values)])
    assert to_plain(settings)["supernet"] == read_recipe(FILES[0])["settings"]["supernet"]
    return SharedEvaluation(compose(registry(), settings, folder, Silent()).workbench)


def test_a_run_on_other_images_loads_its_weights(tmp_path: Path) -> None:
    own = evaluation(tmp_path, epochs=1).trainer(Silent()).network.state_dict()
    published = load_file(FILES[0])
    assert set(own) == set(published) - {"trained_on"}
    other = {name for name in own if not torch.equal(own[name], published[name].to(own[name].dtype))}
    # Ten digits are not CIFAR-10's ten classes, and grey: the stem sees the sum of red, green and blue.
    answering = {name for name in own if own[name].shape[:1] == (10,)}
    assert set() < answering < other
    (stem,) = other - answering
    assert torch.allclose(own[stem], published[stem].float().sum(1, keepdim=True))


def test_untrained_last_layers_are_refused_for_other_classes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        evaluation(tmp_path, epochs=0).prepare(Silent())
    message = str(refused.value)
    assert message.startswith("training.epochs: found 0, and weights ")
    assert "cifar10-mbv3" in message
    assert "class 1 was 'airplane', and is '0' in this run" in message
    assert "allowed: 1 or more" in message
