"""Every form of a network keeps its temperatures."""

import copy

import exported_nets
import pytest
import torch

import edanas
from edanas.deploy.export_check import export_checked
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.model.temperature import TEMPERATURES, apply_temperatures
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry


@pytest.fixture
def network():
    copied = copy.deepcopy(exported_nets.network())
    apply_temperatures(copied, (0.5, 1.75, 3.0))
    sure = copied.all_exits(exported_nets.images())[1]
    middle = [sure[:, column].sort().values for column in (0, 1)]
    copied.scheme = (
        None,
        *(float(m[len(m) // 2 - 1 : len(m) // 2 + 1].mean()) for m in middle[:1]),
        None,
        0.9,
    )
    return copied


def test_they_are_loaded(network, tmp_path):
    described, _ = SafetensorsExporter().export(network, tmp_path / "net")
    loaded = edanas.load(described)
    assert loaded.description[TEMPERATURES] == [0.5, 1.75, 3.0]
    for one, other in zip(
        network.all_exits(exported_nets.images()), loaded.all_exits(exported_nets.images()), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["onnx", "pt2"])
def test_they_are_exported(network, tmp_path, name):
    exporter = Registry(load_plugins()).create("exporter", name)
    paths, _ = export_checked(exporter, network, tmp_path / "net", exported_nets.images())
    runner = exporter.open(paths[0])
    try:
        label, exits, confidence = runner.predict(exported_nets.images().numpy())
    finally:
        runner.close()
    expected = network(exported_nets.images())
    assert exits.tolist() == expected.exit.tolist()
    assert label.tolist() == expected.label.tolist()
    assert torch.allclose(torch.from_numpy(confidence), expected.confidence, atol=1e-4)
