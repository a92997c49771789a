"""The criterion and the bundle keep their contracts, and confidences agree with the formula."""

import json
import math
from pathlib import Path

import edanas
import pytest
import torch
from edanas.core.errors import ConfigError
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.testing import check_bundle, check_criterion

from edanas_entropy import Entropy


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_criterion_conforms(temperature: float) -> None:
    check_criterion(Entropy(temperature))


def test_the_bundle_conforms() -> None:
    check_bundle("mbv3-entropy", Registry(load_plugins()))


def test_equals_one_minus_normalised_entropy() -> None:
    probabilities = torch.tensor([[0.7, 0.2, 0.1]])
    entropy = -(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1))
    assert Entropy()(probabilities.log()).item() == pytest.approx(1 - entropy / math.log(3), abs=1e-6)


def test_certainty_is_one_and_indifference_zero() -> None:
    confidence = Entropy()(torch.tensor([[1e4, 0.0, 0.0], [2.0, 2.0, 2.0]]))
    assert confidence.tolist() == pytest.approx([1.0, 0.0], abs=1e-6)


def test_order_of_classes_and_shift_do_not_matter() -> None:
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Entropy()(logits), Entropy()(logits.flip(1) + 3.0))


def test_higher_temperature_is_less_sure() -> None:
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
    assert (Entropy(temperature=4.0)(logits) < Entropy()(logits)).all()


def test_temperature_must_be_positive() -> None:
    with pytest.raises(ConfigError, match=r"criterion.temperature: found 0.0; allowed: above 0"):
        Entropy(temperature=0.0)


TINY = {
    "threads": 1,
    "surrogates": ["rbf"],
    "recalibration": 32,
    "search": {"initial": 3, "iterations": 1, "per_iteration": 1, "results": 1},
    "training": {"epochs": 1, "batch_size": 256},
    "finetune": {"epochs": 0},
    "baseline": {"epochs": 0},
    "supernet": {
        "name": "ofa-mbv3",
        "widths": [0.1],
        "resolutions": [8],
        "depths": [1],
        "kernels": [3],
        "stem_stride": 1,
    },
}


def test_the_bundle_searches_to_the_end(tmp_path: Path) -> None:
    result = edanas.search(plugin="mbv3-entropy", settings=TINY, out=tmp_path / "run")
    model = result.folder / result.best()["model"]
    described = json.loads(model.with_suffix(".json").read_text())
    assert described["criterion"] == {"name": "tempered-entropy", "options": {}}
    assert isinstance(edanas.load(model).criterion, Entropy)
