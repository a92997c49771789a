from pathlib import Path

import numpy as np
import pytest
from series_networks import CHANNELS, LENGTH, series_network, series_parts

import edanas
from edanas.core.errors import DataError
from edanas.model.labelled_samples import read_labelled_samples
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.testing.evaluations import toy_network
from edanas.testing.toy_networks import toy_images


def test_series_in_files_are_classified_row_by_row(tmp_path: Path) -> None:
    network = series_network(tmp_path)
    series = series_parts().test.images[:, :, 0].numpy()
    np.savez(tmp_path / "a.npz", samples_test=series[:5], labels_test=np.zeros(5))
    np.save(tmp_path / "b.npy", series[5:7])
    paths = [tmp_path / "a.npz", tmp_path / "b.npy"]
    answers = list(edanas.stream(network, paths, batch_size=3))
    assert [answer.name for answer in answers[:2]] == [f"{paths[0]}[0]", f"{paths[0]}[1]"]
    assert [answer.label for answer in answers] == network.predict(series[:7]).label.tolist()


def test_images_in_files_of_numpy_are_classified(tmp_path: Path) -> None:
    network, images = toy_network().eval(), toy_images(3, seed=0).images.numpy()
    np.savez(tmp_path / "a.npz", x_train=images[:1], images=images)
    answers = list(edanas.stream(network, tmp_path / "a.npz"))
    assert [answer.label for answer in answers] == network.predict(images).label.tolist()
    np.save(tmp_path / "b.npy", images[0, 0, 0])
    with pytest.raises(DataError, match=r"found shape \(12,\); allowed: \(N, C, H, W\)"):
        list(edanas.stream(network, tmp_path / "b.npy"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"", "found no file of series; allowed: .npy or .npz"),
        ("a.npz", b"no zip", "cannot be read as a file of NumPy"),
        ("a.npy", b"", "cannot be read as a file of NumPy"),
    ],
)
def test_files_without_series_are_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: {message}"):
        list(edanas.stream(series_network(tmp_path), [tmp_path / name]))


def test_arrays_of_another_name_or_shape_are_named(tmp_path: Path) -> None:
    network = series_network(tmp_path)
    np.savez(tmp_path / "a.npz", other=np.zeros((2, CHANNELS, LENGTH)))
    with pytest.raises(DataError, match="found other; allowed: an array named x"):
        list(edanas.stream(network, [tmp_path / "a.npz"]))
    np.save(tmp_path / "b.npy", np.zeros(LENGTH))
    with pytest.raises(DataError, match=r"found shape \(40,\); allowed: \(N, C, L\)"):
        list(edanas.stream(network, [tmp_path / "b.npy"]))


def test_labelled_images_for_a_network_of_series_are_refused(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz", x=np.zeros((6, 8, 8), np.uint8) + np.arange(8, dtype=np.uint8), y=list("abcabc")
    )
    registry = Registry(load_plugins())
    with pytest.raises(DataError, match="data: found images; allowed: series"):
        read_labelled_samples(registry, series_network(tmp_path), None, str(tmp_path / "a.npz"), None)
