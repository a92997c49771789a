import gc
import gzip
import hashlib
import http.server
import io
import pickle
import struct
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from torchvision import datasets

from edanas.core.errors import AbsentDataError, DataError
from edanas.data.torchvision_sets import Cifar10, Mnist, Stl10, Svhn, TorchvisionSet, edanas_data_sets


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}/"
        httpd.shutdown()
        thread.join()


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


@pytest.fixture
def mnist(server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A small MNIST on the server: 12 train and 4 test images."""
    folder, address = server
    rng = np.random.default_rng(0)
    arrays, resources = {}, []
    for prefix, count in (("train", 12), ("t10k", 4)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        arrays[prefix] = images
        for name, values in (("images-idx3", images), ("labels-idx1", labels)):
            packed = gzip.compress(idx(values))
            (folder / f"{prefix}-{name}-ubyte.gz").write_bytes(packed)
            resources.append((f"{prefix}-{name}-ubyte.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(datasets.MNIST, "mirrors", [address])
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    return arrays


def test_all_sets_are_registered_under_their_names() -> None:
    sets = edanas_data_sets()
    assert list(sets) == ["cifar10", "cifar100", "mnist", "fashion-mnist", "kmnist", "svhn", "stl10"]
    for name, factory in sets.items():
        assert issubclass(factory, TorchvisionSet)  # type: ignore[arg-type]
        assert hasattr(datasets, factory.source)  # type: ignore[attr-defined]
        assert name.replace("-", "") in (factory.__doc__ or "").lower().replace("-", "")


@pytest.mark.parametrize("name", edanas_data_sets())
def test_an_absent_set_reports_channels_and_classes(name: str, tmp_path: Path) -> None:
    source = edanas_data_sets()[name](root=str(tmp_path))
    with pytest.raises(AbsentDataError, match=f"data '{name}': not found") as error:
        source.load(32, 0)
    known = getattr(datasets, source.source, None)  # type: ignore[attr-defined]
    grey = issubclass(known, datasets.MNIST)  # type: ignore[arg-type]
    names = getattr(known, "classes", range(100 if name == "cifar100" else 10))
    assert (error.value.channels, error.value.classes) == (1 if grey else 3, len(names))


def test_a_download_is_kept_at_home_and_its_test_part_stays_apart(
    mnist: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("edanas")
    monkeypatch.setenv("EDANAS_HOME", str(home))
    with pytest.raises(
        DataError, match=rf"data 'mnist': not found, or incomplete, in {home}/data. Add --download"
    ):
        Mnist().load(32, 0)
    data = Mnist(download=True).load(32, 0)
    assert data.parts.tolist() == ["train"] * 12 + ["test"] * 4
    assert data.samples.images.shape == (16, 1, 28, 28)
    np.testing.assert_array_equal(data.samples.images[12:, 0].numpy(), mnist["t10k"])
    assert data.samples.labels[:12].tolist() == [*range(10), 0, 1]
    assert len(data.samples.classes) == 10
    monkeypatch.setattr(datasets.MNIST, "mirrors", [])
    assert torch.equal(Mnist().load(32, 0).samples.images, data.samples.images)


def test_nothing_is_printed_where_json_may_be_expected(
    mnist: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Mnist(root=str(tmp_path), download=True).load(32, 0)
    assert capsys.readouterr().out == ""


def test_larger_images_are_resized_with_a_remark(mnist: dict[str, np.ndarray], tmp_path: Path) -> None:
    data = Mnist(root=str(tmp_path), download=True).load(16, 0)
    assert data.samples.images.shape == (16, 1, 16, 16)
    assert data.remarks == ("All 16 images were resized from 28x28 to 16x16.",)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_failed_download_says_why(
    mnist: dict[str, np.ndarray], server: tuple[Path, str], tmp_path: Path
) -> None:
    (server[0] / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"data 'mnist': could not be downloaded .*404"):
        Mnist(root=str(tmp_path), download=True).load(32, 0)
    gc.collect()  # urllib leaves the refused connection to the garbage collector, which warns


def test_a_download_with_another_content_is_refused(
    mnist: dict[str, np.ndarray], server: tuple[Path, str], tmp_path: Path
) -> None:
    (server[0] / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"other"))
    with pytest.raises(DataError, match=r"data 'mnist': could not be downloaded .*corrupted"):
        Mnist(root=str(tmp_path), download=True).load(32, 0)


def test_damaged_files_are_distinguished_from_missing_ones(
    mnist: dict[str, np.ndarray], tmp_path: Path
) -> None:
    Mnist(root=str(tmp_path), download=True).load(32, 0)
    (tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(b"\0\0")
    with pytest.raises(DataError, match=r"data 'mnist': the files in .* cannot be read: .* Delete them"):
        Mnist(root=str(tmp_path)).load(32, 0)


def test_cifar_archive(server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, address = server
    pixels = np.random.default_rng(1).integers(0, 256, (4, 3 * 32 * 32), dtype=np.uint8)
    names = [f"thing{i}" for i in range(10)]
    members = {
        "data_batch_1": {"data": pixels[:2], "labels": [3, 7]},
        "test_batch": {"data": pixels[2:], "labels": [0, 9]},
        "batches.meta": {"label_names": names},
    }
    checksums = {}
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as archive:
        for name, content in members.items():
            packed = pickle.dumps(content)
            checksums[name] = hashlib.md5(packed).hexdigest()
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(packed)
            archive.addfile(member, io.BytesIO(packed))
    digest = hashlib.md5((folder / "cifar-10-python.tar.gz").read_bytes()).hexdigest()
    meta = {"filename": "batches.meta", "key": "label_names", "md5": checksums["batches.meta"]}
    for attribute, value in {
        "url": address + "cifar-10-python.tar.gz",
        "tgz_md5": digest,
        "train_list": [["data_batch_1", checksums["data_batch_1"]]],
        "test_list": [["test_batch", checksums["test_batch"]]],
        "meta": meta,
    }.items():
        monkeypatch.setattr(datasets.CIFAR10, attribute, value)

    data = Cifar10(root=str(tmp_path / "root"), download=True).load(32, 0)
    assert data.samples.classes == tuple(names)
    assert data.samples.labels.tolist() == [3, 7, 0, 9]
    assert data.parts.tolist() == ["train", "train", "test", "test"]
    np.testing.assert_array_equal(data.samples.images.numpy(), pixels.reshape(4, 3, 32, 32))
    assert data.samples.images.is_contiguous()


def test_svhn_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    arrays, files = {}, {}
    for part in ("train", "test"):
        arrays[part] = rng.integers(0, 256, (32, 32, 3, 5), dtype=np.uint8)
        labels = np.array([[10], [1], [2], [9], [9]], dtype=np.uint8)
        path = tmp_path / f"{part}_32x32.mat"
        scipy.io.savemat(path, {"X": arrays[part], "y": labels})
        files[part] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(datasets.SVHN, "split_list", files)
    data = Svhn(root=str(tmp_path)).load(32, 0)
    assert data.samples.labels.tolist() == [0, 1, 2, 9, 9] * 2
    assert data.samples.classes == tuple("0123456789")
    np.testing.assert_array_equal(data.samples.images[6].numpy(), arrays["test"][..., 1].transpose(2, 0, 1))


def test_stl10_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (3, 3, 96, 96), dtype=np.uint8)
    lists: dict[str, list[list[str]]] = {}
    for part, count in (("train", 2), ("test", 1)):
        images = pixels[:2] if part == "train" else pixels[2:]
        for name, content in (
            ("X", images.transpose(0, 1, 3, 2)),
            ("y", np.arange(1, count + 1, dtype=np.uint8)),
        ):
            path = folder / f"{part}_{name}.bin"
            path.write_bytes(np.ascontiguousarray(content).tobytes())
            lists.setdefault(part, []).append([path.name, hashlib.md5(path.read_bytes()).hexdigest()])
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    for part in lists:
        monkeypatch.setattr(datasets.STL10, f"{part}_list", lists[part])
    data = Stl10(root=str(tmp_path)).load(96, 0)
    assert data.samples.classes == ("airplane", "bird")
    assert data.samples.labels.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(data.samples.images.numpy(), pixels)
