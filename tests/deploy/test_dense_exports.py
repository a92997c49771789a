from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_networks import SMALL
from small_runs import parts, workbench

from edanas.core.space import SearchSpace
from edanas.core.types import SelectionScheme
from edanas.deploy.export_check import export_checked
from edanas.plugins.registry import Registry
from edanas.supernets.elastic_resnet import ElasticResNetProvider


@pytest.mark.parametrize("name", ["safetensors", "onnx-int8", "c-header"])
def test_a_dense_network_predicts_alike_in_every_form(name: str, registry: Registry, tmp_path: Path) -> None:
    provider = ElasticResNetProvider(**SMALL["elastic-resnet"])
    space = SearchSpace(provider.variables(), "continuous", provider.exit_points)
    settings = {"supernet": {"name": "elastic-resnet", **SMALL["elastic-resnet"]}}
    bench = replace(workbench(tmp_path, **settings), provider=provider, space=space)
    torch.manual_seed(0)
    staged = bench.provider.build(space.largest(), bench.parts.task)
    network = bench.network(
        staged, bench.fresh_heads(staged, (1, 3)), SelectionScheme((None, 0.1, None, 0.2))
    )
    bench.recalibrate(network)
    network.description = bench.describe(space.largest())
    exporter = registry.create("exporter", name)
    exporter.prepare(parts().calibration, parts().validation)
    paths, _ = export_checked(exporter, network, tmp_path / "net", parts().test.images)
    assert paths
    assert all(path.stat().st_size for path in paths)
