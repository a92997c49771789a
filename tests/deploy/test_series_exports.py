from pathlib import Path

import numpy as np
import pytest
import torch
from series_networks import series_network, series_parts

from edanas.core.optional_packages import MissingExtraError
from edanas.deploy.export_check import export_checked
from edanas.plugins.registry import Registry

EXACT = ("onnx", "onnx-if", "pt2", "pt2-cond")


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", ["onnx", "pt2", "onnx-int8"])
def test_a_network_for_series_predicts_alike_in_every_form(
    name: str, *, padded: bool, registry: Registry, tmp_path: Path
) -> None:
    """The smallest backbone resamples its input, so that resampling is part of the exported graph."""
    try:
        exporter = registry.create("exporter", name)
    except MissingExtraError as error:
        pytest.skip(str(error))
    network = series_network(tmp_path, padded=padded, smallest=True)
    assert network.resolution < network.image_size[0]  # type: ignore[index]
    parts = series_parts(padded=padded)
    exporter.prepare(parts.calibration, parts.validation)
    paths, result = export_checked(exporter, network, tmp_path / "net", parts.test.images)
    assert result is not None
    assert result.same + result.rounded == result.images or not exporter.exact
    if not padded:
        return
    runner = exporter.open(paths[0])
    # Values under the padding of another channel do not exist for an exported network either.
    series = parts.test.images.numpy()
    first = runner.predict(series)
    again = runner.predict(np.where(np.isnan(series[:, :1]), np.nan, series).astype(np.float32))
    runner.close()
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))


def test_the_largest_backbone_needs_no_resampling(registry: Registry, tmp_path: Path) -> None:
    network = series_network(tmp_path)
    assert network.input_size == tuple(reversed(network.image_size or ()))
    paths, _ = export_checked(
        registry.create("exporter", "pt2"), network, tmp_path / "net", series_parts().test.images
    )
    assert torch.export.load(next(path for path in paths if path.suffix == ".pt2"))
