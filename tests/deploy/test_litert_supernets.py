"""Networks of the built-in supernets as `.tflite` files, which answer as torch does."""

from pathlib import Path

import numpy as np
import pytest
from small_runs import parts
from test_c_export import provider_network

from edanas.deploy.export_check import export_checked
from edanas.plugins.registry import Registry

pytest.importorskip("ai_edge_litert", reason="the extra `litert` is not installed")
pytest.importorskip("tflite_micro", reason="the extra `litert` is not installed")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ofa-proxyless", {}),
        ("ofa-resnet50", {}),
        ("elastic-resnet", {"downsampling": "pooled"}),
        ("elastic-resnet", {"stem": "whitened", "pooling": "max"}),
        ("timm", {}),
        ("module", {}),
        ("shallow-deep", {}),
        ("eecnn", {}),
        ("resnet8", {}),
        ("alexnet", {}),
        ("vgg13", {}),
    ],
)
def test_networks_of_the_supernets_give_the_answers_of_torch(
    name: str, options: dict[str, str], registry: Registry, tmp_path: Path
) -> None:
    network, pixels = provider_network(registry, name, tmp_path, **options), parts().train.images[:24]
    exporter = registry.create("exporter", "litert", {})
    paths, check = export_checked(exporter, network, tmp_path / "net", pixels)
    assert check is not None
    label, exit_, confidence = network(pixels)
    answers = exporter.open(paths[0]).predict(pixels.numpy())
    assert np.array_equal(answers[0], label) and np.array_equal(answers[1], exit_)
    np.testing.assert_allclose(answers[2], confidence.detach(), atol=1e-4)
