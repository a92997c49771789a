"""Data sets of torchvision, stored under `EDANAS_HOME/data` and downloaded only on request.

Torchvision compares the MD5 checksum of each archive with the published checksum before it unpacks the
archive. It compares the checksums of CIFAR's pickle files before it reads them. Changed files are not loaded.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any, ClassVar

import numpy as np
import torch

from edanas.core.contracts import DataSource
from edanas.core.errors import AbsentDataError, DataError
from edanas.core.hookspecs import hookimpl
from edanas.core.machine import home, user_path
from edanas.core.types import ImageSet, LoadedData
from edanas.data.image_array import fit


class TorchvisionSet(DataSource):
    """Base class of torchvision's data sets. The published test images form the test part.

    Args:
        root: Folder of the files. Empty, the default, means `$EDANAS_HOME/data`; the environment variable
            `EDANAS_HOME` defaults to `~/.cache/edanas`.
        download: Download missing files; by default an error is raised.
    """

    name: ClassVar[str]
    """Name of the data set in the setting `data`."""
    source: ClassVar[str]
    """Name of the class in `torchvision.datasets`."""
    channels: ClassVar[int]
    """Number of channels of the images: 1 or 3."""
    classes: ClassVar[int]
    """Number of classes."""
    by_split: ClassVar[bool] = False
    """True if torchvision's class has the argument `split` and the attribute `labels`.

    Otherwise it has the argument `train` and the attribute `targets`.
    """

    def __init__(self, *, root: str = "", download: bool = False) -> None:
        self.root = user_path(root) if root else home() / "data"
        self.download = download

    def load(self, size: int, seed: int) -> LoadedData:
        """Load train and test images; see `DataSource.load`.

        Raises:
            AbsentDataError: The files are not in `root`, and `download` is False.
            DataError: The files cannot be downloaded or read.
        """
        train, test = self._open("train"), self._open("test")
        images, remarks = fit(torch.cat([_images(train), _images(test)]), size)
        labels = torch.cat([self._labels(train), self._labels(test)])
        classes = getattr(train, "classes", None) or range(int(labels.max()) + 1)
        parts = np.repeat(np.array(["train", "test"], dtype=np.str_), [len(train), len(test)])
        return LoadedData(ImageSet(images, labels, tuple(map(str, classes))), parts, remarks)

    def _open(self, part: str) -> Any:
        from torchvision import datasets

        arguments: dict[str, Any] = {"split": part} if self.by_split else {"train": part == "train"}
        try:
            with redirect_stdout(sys.stderr):
                return getattr(datasets, self.source)(str(self.root), download=self.download, **arguments)
        except Exception as error:
            # Failing downloads, archives and decoders raise many kinds of errors.
            raise self._data_error(error) from error

    def _data_error(self, error: Exception) -> DataError:
        cause = " ".join(str(error).split()) or type(error).__name__
        if self.download:
            return DataError(
                f"data '{self.name}': could not be downloaded to or read from {self.root}: {cause}"
            )
        if isinstance(error, RuntimeError) and "download=True" in cause:
            return AbsentDataError(
                f"data '{self.name}': not found, or incomplete, in {self.root}. "
                "Add --download to fetch the files.",
                self.channels,
                self.classes,
            )
        return DataError(
            f"data '{self.name}': the files in {self.root} cannot be read: {cause}. "
            "Delete them and add --download to fetch them again."
        )

    def _labels(self, part: Any) -> torch.Tensor:
        return torch.as_tensor(part.labels if self.by_split else part.targets, dtype=torch.int64)


class Cifar10(TorchvisionSet):
    """CIFAR-10: 60,000 photos of 32x32 pixels in 10 classes (170 MB)."""

    name, source = "cifar10", "CIFAR10"
    channels, classes, image_side = 3, 10, 32


class Cifar100(TorchvisionSet):
    """CIFAR-100: 60,000 photos of 32x32 pixels in 100 classes (169 MB)."""

    name, source = "cifar100", "CIFAR100"
    channels, classes, image_side = 3, 100, 32


class Mnist(TorchvisionSet):
    """MNIST: 70,000 grey images of 28x28 pixels, handwritten digits (12 MB)."""

    name, source = "mnist", "MNIST"
    channels, classes, image_side = 1, 10, 28


class FashionMnist(TorchvisionSet):
    """Fashion-MNIST: 70,000 grey images of 28x28 pixels, clothing in 10 classes (31 MB)."""

    name, source = "fashion-mnist", "FashionMNIST"
    channels, classes, image_side = 1, 10, 28


class Kmnist(TorchvisionSet):
    """KMNIST: 70,000 grey images of 28x28 pixels, cursive Japanese characters in 10 classes (21 MB)."""

    name, source = "kmnist", "KMNIST"
    channels, classes, image_side = 1, 10, 28


class Svhn(TorchvisionSet):
    """SVHN: 99,289 colour images of 32x32 pixels, digits of house numbers (246 MB)."""

    name, source, by_split = "svhn", "SVHN", True
    channels, classes, image_side = 3, 10, 32


class Stl10(TorchvisionSet):
    """STL-10: 13,000 labelled photos of 96x96 pixels in 10 classes (2.6 GB, unlabelled photos included)."""

    name, source, by_split = "stl10", "STL10", True
    channels, classes, image_side = 3, 10, 96


def _images(part: Any) -> torch.Tensor:
    """Return the images as (N, C, H, W) uint8; torchvision has (N, H, W), (N, H, W, 3) or (N, 3, H, W)."""
    pixels = torch.as_tensor(part.data)
    if pixels.ndim == 3:
        return pixels[:, None]
    return (pixels if pixels.shape[1] == 3 else pixels.permute(0, 3, 1, 2)).contiguous()


@hookimpl
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:
    """Register torchvision's data sets of small images."""
    sets = (Cifar10, Cifar100, Mnist, FashionMnist, Kmnist, Svhn, Stl10)
    return {data_set.name: data_set for data_set in sets}
