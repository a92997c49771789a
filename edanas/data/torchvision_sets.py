"""Well-known data sets from torchvision, stored under `EDANAS_HOME/data`, downloaded only on request.

Torchvision checks the MD5 of each archive before it unpacks it, and of CIFAR's pickles before it reads them.
Only the published files are therefore loaded.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from edanas.core.contracts import DataSource
from edanas.core.errors import AbsentDataError, DataError
from edanas.core.hookspecs import hookimpl
from edanas.core.machine import home
from edanas.core.types import ImageSet, LoadedData
from edanas.data.image_array import fit


class TorchvisionSet(DataSource):
    """A data set of torchvision; its official test part is the test part.

    Args:
        root: Folder of the files; empty = `data` under the environment variable `EDANAS_HOME`
            (`~/.cache/edanas` if that is not set).
        download: Download missing files.
    """

    name: ClassVar[str]
    """The registered name."""
    source: ClassVar[str]
    """The class in `torchvision.datasets`."""
    channels: ClassVar[int]
    """Channels of the images: 1 or 3."""
    classes: ClassVar[int]
    """Number of classes."""
    by_split: ClassVar[bool] = False
    """True if the class takes `split="test"` and has `labels`, in place of `train=False` and `targets`."""

    def __init__(self, *, root: str = "", download: bool = False) -> None:
        self.root = Path(root).expanduser() if root else home() / "data"
        self.download = download

    def load(self, size: int, seed: int) -> LoadedData:
        """Load train and test images; see `DataSource.load`."""
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
            # Servers, archives and decoders raise many kinds of errors, all of them about files.
            raise self._data_error(error) from error

    def _data_error(self, error: Exception) -> DataError:
        cause = " ".join(str(error).split()) or type(error).__name__
        if self.download:
            return DataError(
                f"data '{self.name}': could not be downloaded to or read from {self.root}: {cause}"
            )
        if isinstance(error, RuntimeError) and "download=True" in cause:
            return AbsentDataError(
                f"data '{self.name}': not found, or not whole, in {self.root}. Add --download to fetch it.",
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
    channels, classes = 3, 10


class Cifar100(TorchvisionSet):
    """CIFAR-100: 60,000 photos of 32x32 pixels in 100 classes (169 MB)."""

    name, source = "cifar100", "CIFAR100"
    channels, classes = 3, 100


class Mnist(TorchvisionSet):
    """MNIST: 70,000 handwritten digits, 28x28 grey (12 MB)."""

    name, source = "mnist", "MNIST"
    channels, classes = 1, 10


class FashionMnist(TorchvisionSet):
    """Fashion-MNIST: 70,000 pieces of clothing, 28x28 grey, 10 classes (31 MB)."""

    name, source = "fashion-mnist", "FashionMNIST"
    channels, classes = 1, 10


class Kmnist(TorchvisionSet):
    """KMNIST: 70,000 cursive Japanese characters, 28x28 grey, 10 classes (21 MB)."""

    name, source = "kmnist", "KMNIST"
    channels, classes = 1, 10


class Svhn(TorchvisionSet):
    """SVHN: 99,289 house-number digits, 32x32 colour (246 MB)."""

    name, source, by_split = "svhn", "SVHN", True
    channels, classes = 3, 10


class Stl10(TorchvisionSet):
    """STL-10: 13,000 labelled photos of 96x96 pixels in 10 classes (2.6 GB with the unlabelled ones)."""

    name, source, by_split = "stl10", "STL10", True
    channels, classes = 3, 10


def _images(part: Any) -> torch.Tensor:
    """Return (N, C, H, W) uint8 from torchvision's (N, H, W), (N, H, W, 3) or (N, 3, H, W)."""
    pixels = torch.as_tensor(part.data)
    if pixels.ndim == 3:
        return pixels[:, None]
    return (pixels if pixels.shape[1] == 3 else pixels.permute(0, 3, 1, 2)).contiguous()


@hookimpl
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:
    """Register torchvision's classification sets of small images."""
    sets = (Cifar10, Cifar100, Mnist, FashionMnist, Kmnist, Svhn, Stl10)
    return {data_set.name: data_set for data_set in sets}
