"""Supernets that come with the package."""

import json
from pathlib import Path

import pytest
import torch
from pretrainer import registry
from safetensors.torch import load_file

from edanas.core.config import to_plain
from edanas.core.errors import ConfigError, WeightsError
from edanas.core.progress import Silent
from edanas.core.records import unsealed
from edanas.evaluation.shared import SharedEvaluation
from edanas.run.compose import compose
from edanas.run.layers import layered_settings
from edanas.run.provenance import digest_of_file
from edanas.training.supernet_file import COPIES, PRETRAINED, find, names, read_recipe

FILES = sorted(PRETRAINED.glob("*.safetensors"))

BUNDLES = {"cifar10-mbv3": "mbv3-sm", "cifar10-resnet": "resnet-sm"}
"""Name of each included supernet -> bundle whose preset `cifar` has its space."""


def test_a_supernet_of_each_family_is_included() -> None:
    assert [file.stem for file in FILES] == list(BUNDLES) == list(COPIES)
    for file in FILES:
        assert find(file.stem) == file
        assert file.stem in names()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_small_and_matches_its_recipe(file: Path) -> None:
    beside = unsealed(json.loads(file.with_suffix(".json").read_text()))
    assert file.stat().st_size <= 16 * 2**20
    assert beside.pop("sha256") == digest_of_file(str(file))
    assert beside == read_recipe(file)
    assert "/" not in beside["settings"]["data"]


def evaluation(file: Path, folder: Path, epochs: int) -> SharedEvaluation:
    """Settings for digits, which the supernet was not trained on."""
    values = {"plugin": BUNDLES[file.stem], "preset": "cifar", "weights": file.stem, "threads": 1}
    settings = layered_settings(registry(), [("test", {**values, "training.epochs": epochs})])
    assert to_plain(settings)["supernet"] == read_recipe(file)["settings"]["supernet"]
    return SharedEvaluation(compose(registry(), settings, folder, Silent()).workbench)


def test_a_run_on_other_images_loads_its_weights(tmp_path: Path) -> None:
    own = evaluation(FILES[0], tmp_path, epochs=1).trainer(Silent()).network.state_dict()
    published = load_file(FILES[0])
    assert set(own) == set(published) - {"trained_on"}
    other = {name for name in own if not torch.equal(own[name], published[name].to(own[name].dtype))}
    # Ten digits are not CIFAR-10's ten classes, and grey: the stem sees the sum of red, green and blue.
    answering = {name for name in own if own[name].shape[:1] == (10,)}
    assert set() < answering < other
    (stem,) = other - answering
    assert torch.allclose(own[stem], published[stem].float().sum(1, keepdim=True))


def test_whitened_filters_for_colour_do_not_fit_grey_images(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"with 3 image channels; .* have 1\. `--set data\.channels=rgb`"):
        evaluation(FILES[1], tmp_path, epochs=1).prepare(Silent())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_untrained_last_layers_are_refused_for_other_classes(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        evaluation(file, tmp_path, epochs=0).prepare(Silent())
    message = str(refused.value)
    assert message.startswith("training.epochs: found 0, and weights ")
    assert file.stem in message
    assert "class 1 was 'airplane', and is '0' in this run" in message
    assert "allowed: 1 or more" in message


def test_weights_of_the_other_family_are_refused_by_name_alone(tmp_path: Path) -> None:
    values = {"plugin": "mbv3-sm", "preset": "cifar", "weights": "cifar10-resnet", "threads": 1}
    bench = compose(registry(), layered_settings(registry(), [("t", values)]), tmp_path, Silent()).workbench
    with pytest.raises(WeightsError, match=r"Changed: supernet: was 'elastic-resnet', now 'ofa-mbv3'; clas"):
        SharedEvaluation(bench).prepare(Silent())
