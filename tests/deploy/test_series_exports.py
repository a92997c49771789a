import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from c_programs import equal_rows, in_integers, needs_gcc
from series_networks import series_network, series_parts

from edanas.core.errors import ExportError
from edanas.core.optional_packages import MissingExtraError
from edanas.deploy.export_check import export_checked
from edanas.plugins.registry import Registry

EXACT = ("onnx", "onnx-if", "pt2", "pt2-cond")


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", ["onnx", "pt2", "onnx-int8", "litert", "litert-int8", "c"])
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
    exporter.prepare(parts.validation, parts.validation)
    if padded and name.startswith("litert"):
        with pytest.raises(ExportError, match=r"series of unequal length.*allowed: the exporters `c`"):
            exporter.export(network, tmp_path / "net")
        return
    paths, result = export_checked(exporter, network, tmp_path / "net", parts.test.images)
    assert result is not None
    assert result.same + result.rounded == result.images or not exporter.exact
    assert result.same > 0.7 * result.images
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


@needs_gcc
@pytest.mark.parametrize("smallest", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_c_code_for_series_equals_its_reference_in_every_bit(
    tmp_path: Path, *, padded: bool, smallest: bool
) -> None:
    network = series_network(tmp_path, padded=padded, smallest=smallest)
    samples = series_parts(padded=padded).test.images
    integers = in_integers(network, samples)
    assert equal_rows(integers, samples, tmp_path).sum() == len(samples)
    values = samples[0, :, 0].T.nan_to_num().contiguous().numpy()
    values[7, 2] = np.nan
    (tmp_path / "broken.raw").write_bytes(values.tobytes())
    command = ["./strict", "broken.raw"]
    wrong = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert wrong.returncode == 1
    assert "nan at position 7, channel 2; allowed: finite values" in wrong.stderr


def test_c_code_of_a_shorter_series_computes_what_the_masked_network_computes(tmp_path: Path) -> None:
    """Integers are 8 bits wide, so logits follow those of the network without being equal."""
    network = series_network(tmp_path, padded=True)
    samples = series_parts(padded=True).test.images
    integers = in_integers(network, samples).logits(samples.numpy())
    for exact, logits in zip(network.answering_logits(samples), integers, strict=True):
        assert np.corrcoef(exact.detach().numpy().ravel(), logits.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_the_host_program_reads_series_from_numpy(name: str, registry: Registry, tmp_path: Path) -> None:
    try:
        exporter = registry.create("exporter", name)
    except MissingExtraError as error:
        pytest.skip(str(error))
    network, series = series_network(tmp_path, smallest=True), series_parts().test.images
    paths = exporter.export(network, tmp_path / "net")
    program = next(path for path in paths if path.suffix == ".py")
    np.save(tmp_path / "series.npy", series[:, :, 0].numpy())
    command = [sys.executable, str(program), str(paths[0]), str(tmp_path / "series.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    names = [line.split(",")[1] for line in done.stdout.splitlines()]
    assert names == [network.classes[label] for label in network(series).label.tolist()]
    np.save(tmp_path / "series.npy", series[:, :2, 0].numpy())
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "expected floats (B, 3, L)" in done.stderr
