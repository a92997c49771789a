import hashlib
import json
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from edanas.core.contracts import StagedBackbone
from edanas.core.errors import RunError
from edanas.core.records import unsealed
from edanas.core.types import SelectionScheme
from edanas.deploy.safetensors_export import FORMAT_VERSION, SafetensorsExporter, edanas_exporters
from edanas.exits.criteria import ScoreMargin
from edanas.exits.inference import EarlyStop
from edanas.model.eenn import EENN


class Margin:
    pass


class Network(nn.Module):
    """A network with the attributes that the exporter reads."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)
        self.tied = self.head
        self.scheme = SelectionScheme((None, 0.1 + 0.2, 1.0))
        self.points = (1, 2)
        self.classes = ("cat", "bånd")
        self.mean = (1 / 3, 0.5, 0.25)
        self.std = (0.1, 0.2, 0.3)
        self.resolution = 24
        self.criterion = Margin()
        self.inference = EarlyStop()
        self.description = {"backbone": {"width": 0.35}, "criterion": {"name": "score-margin", "options": {}}}


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    fresh = Network()
    fresh.stage[0].to(memory_format=torch.channels_last)
    return fresh


def test_it_is_the_exporter_named_safetensors(network, tmp_path):
    exporter = edanas_exporters()["safetensors"]()
    paths = exporter.export(network, tmp_path / "best.v1")
    assert [path.name for path in paths] == ["best.v1.json", "best.v1.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)


def test_weights_come_back_value_for_value(network, tmp_path):
    _, weights = SafetensorsExporter().export(network, tmp_path / "net")
    stored = load_file(weights)
    expected = network.state_dict()
    assert stored.keys() == expected.keys()
    for name, value in expected.items():
        assert stored[name].dtype == value.dtype
        assert torch.equal(stored[name], value), name
    with safe_open(weights, "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_the_description_holds_what_is_needed_to_build_it_again(network, tmp_path):
    described, weights = SafetensorsExporter().export(network, tmp_path / "net")
    assert unsealed(json.loads(described.read_text())) == {
        "backbone": {"width": 0.35},
        "criterion": {"name": "score-margin", "options": {}},
        "inference": {"name": "EarlyStop", "options": {}},
        "format_version": FORMAT_VERSION,
        "thresholds": [None, 0.1 + 0.2, 1.0],
        "heads": [1, 2],
        "classes": ["cat", "bånd"],
        "mean": [1 / 3, 0.5, 0.25],
        "std": [0.1, 0.2, 0.3],
        "resolution": 24,
        "dtype": "float32",
        "weights": "net.safetensors",
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }


def test_attributes_of_the_network_override_an_old_description(network, tmp_path):
    network.description = {"thresholds": [0.5], "resolution": 32}
    described, _ = SafetensorsExporter().export(network.double(), tmp_path / "net")
    description = json.loads(described.read_text())
    assert description["thresholds"] == [None, 0.1 + 0.2, 1.0]
    assert (description["resolution"], description["dtype"]) == (24, "float64")
    assert description["criterion"] == {"name": "Margin", "options": {}}


def test_an_early_exit_network_has_all_that_is_read(tmp_path):
    backbone = StagedBackbone([nn.Conv2d(1, 2, 1), nn.Conv2d(2, 3, 1)], nn.Flatten(), resolution=1)
    network = EENN(backbone, {0: nn.Flatten()}, (0.25,), ScoreMargin(), [0.5], [0.1], ["a", "b"])
    described, weights = SafetensorsExporter().export(network, tmp_path / "net")
    description = json.loads(described.read_text())
    assert (description["thresholds"], description["heads"], description["resolution"]) == ([0.25], [0], 1)
    assert (description["classes"], description["mean"], description["std"]) == (["a", "b"], [0.5], [0.1])
    network.load_state_dict(load_file(weights))


def test_the_same_network_gives_the_same_bytes(network, tmp_path):
    first = [path.read_bytes() for path in SafetensorsExporter().export(network, tmp_path / "net")]
    second = [path.read_bytes() for path in SafetensorsExporter().export(network, tmp_path / "net")]
    assert first == second


def test_a_failed_write_leaves_the_old_files_and_nothing_else(network, tmp_path, monkeypatch):
    paths = SafetensorsExporter().export(network, tmp_path / "net")
    before = [path.read_bytes() for path in paths]

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with torch.no_grad():
        network.head.weight.add_(1.0)
    with pytest.raises(RunError, match=r"net\.safetensors: cannot be written: No space left on device"):
        SafetensorsExporter().export(network, tmp_path / "net")
    assert [path.read_bytes() for path in paths] == before
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_missing_folder_is_one_clear_error(network, tmp_path):
    with pytest.raises(RunError, match=r"absent/net\.safetensors: cannot be written: No such file"):
        SafetensorsExporter().export(network, tmp_path / "absent" / "net")
