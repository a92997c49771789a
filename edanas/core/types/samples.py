"""Labelled images or series, the data sets that hold them, and the parts of a data set."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edanas.core.mapped import rows_at

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Task:
    """A classification task: the number of channels of images (1 or 3) or series, and the number of classes.

    Example:
        >>> Task(in_channels=3, num_classes=10)
        Task(in_channels=3, num_classes=10)
    """

    in_channels: int
    num_classes: int


LABELS = "labels"
"""Key of a network's description: the label of each class as the user wrote it, unless it is the name."""


@dataclass(frozen=True)
class ImageSet:
    """Images or series of one size with their labels, in memory.

    Args:
        images: Images (S, C, H, W) uint8 of S samples, with C = 1 or 3 channels; or series (S, C, 1, L)
            float32, with NaN after the end of shorter series.
        labels: Labels (S,) int64, from 0 to len(classes) - 1.
        classes: Names of the classes; a label is an index of this tuple.
        values: The label of each class as the user wrote it, e.g. a number; empty if it is the name.
        window_of: Number (S,) of the series that each sample is a window of; `None`, the default, if each
            sample is whole.

    Example:
        >>> import torch
        >>> images = ImageSet(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.arange(3), ("a", "b", "c"))
        >>> len(images.subset(np.array([2, 0]))), images.task
        (2, Task(in_channels=1, num_classes=3))
    """

    images: "torch.Tensor"
    labels: "torch.Tensor"
    classes: tuple[str, ...]
    values: tuple[str | int | float | bool, ...] = ()
    window_of: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: npt.NDArray[np.int64]) -> "ImageSet":
        """Return the samples at `indices`, in that order."""
        import torch

        at = torch.from_numpy(np.ascontiguousarray(indices))
        windows = None if self.window_of is None else self.window_of[indices]
        return replace(self, images=rows_at(self.images, indices), labels=self.labels[at], window_of=windows)

    @property
    def wholes(self) -> int:
        """The number of samples, where the windows of a series are one."""
        return len(self) if self.window_of is None else len(np.unique(self.window_of))

    @property
    def task(self) -> Task:
        """The number of channels and of classes of the images."""
        return Task(int(self.images.shape[1]), len(self.classes))


def described_labels(samples: ImageSet) -> dict[str, list[str | int | float | bool]]:
    """Return the entry `LABELS` of the description of a network that is trained on samples, if there is one.

    Example:
        >>> import torch
        >>> images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
        >>> described_labels(ImageSet(images, torch.arange(2), ("-3", "20"), (-3, 20)))
        {'labels': [-3, 20]}
    """
    return {LABELS: list(samples.values)} if samples.values else {}


@dataclass(frozen=True)
class LoadedData:
    """A data set as a data source returns it: samples, the parts that the source defines, and remarks.

    Args:
        samples: The images and labels of all S samples.
        parts: Name (S,) of each sample's part: `train`, `validation` or `test` if the source defines it, or
            `""` if the split rule chooses the part.
        remarks: Sentences for the user about changes of the images at reading.
        names: Name of each sample for messages, e.g. the path of its file; empty if samples have no names.
        groups: Group of each sample, e.g. its speaker; all samples of a group are in one part. Empty if
            there are no groups.
        front_end: Values of JSON from which a finished network computes its images of sound; empty for images
            and series.

    Example:
        >>> import torch
        >>> images = ImageSet(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.arange(2), ("a", "b"))
        >>> LoadedData(images, np.array(["train", ""])).remarks
        ()
    """

    samples: ImageSet
    parts: npt.NDArray[np.str_]
    remarks: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    front_end: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Survey:
    """Counts of the images of a data set, with their size and colour.

    Args:
        images: Number of images in all parts.
        pool: Number of images that the split divides: all images outside the fixed parts.
        fixed_parts: Parts that the data set names itself: `validation`, `test`, both, or none.
        classes: Number of classes.
        fewest: Number of pool images in the smallest class.
        most: Number of pool images in the largest class.
        side: Median of the shorter sides of the sampled images, in pixels.
        grey: True if all pixels of the sampled images are grey; the files may be stored as RGB.
        length: Length of the longest series; 0, the default, for images.
        padded: True if some series are shorter.
        sound: True if the images are spectrograms.

    Example:
        >>> Survey(1797, 1797, frozenset(), classes=10, fewest=174, most=183, side=8, grey=True).side
        8
    """

    images: int
    pool: int
    fixed_parts: frozenset[str]
    classes: int
    fewest: int
    most: int
    side: int
    grey: bool
    length: int = 0
    padded: bool = False
    sound: bool = False


@dataclass(frozen=True)
class DataParts:
    """The four disjoint parts of a data set; `docs/architecture.md` lists their uses.

    Example:
        >>> from edanas.testing.toy_networks import toy_images
        >>> images = toy_images(8, seed=0)
        >>> DataParts(images, images, images, images, mean=(0.4,), std=(0.25,)).task.in_channels
        1
    """

    train: ImageSet
    calibration: ImageSet
    validation: ImageSet
    test: ImageSet
    mean: tuple[float, ...]
    """Mean of each channel over the train part, for pixels in [0, 1]."""
    std: tuple[float, ...]
    """Standard deviation of each channel over the train part, for pixels in [0, 1]."""
    front_end: Mapping[str, Any] = field(default_factory=dict)
    """See `LoadedData.front_end`."""
    copies: int = 0
    """Number of augmented copies of each sample that follow the calibration and validation samples."""

    @property
    def own_calibration(self) -> ImageSet:
        """The calibration samples without their augmented copies."""
        return self.calibration.subset(np.arange(len(self.calibration) // (self.copies + 1)))

    @property
    def task(self) -> Task:
        """The number of channels and of classes of the data set."""
        return self.train.task

    @property
    def series(self) -> bool:
        """True if the samples are series (C, 1, L), false if they are images."""
        return self.train.images.is_floating_point()

    @property
    def padded(self) -> bool:
        """True if some series are shorter than the longest series."""
        every = (self.train, self.calibration, self.validation, self.test)
        return self.series and any(bool(part.images.isnan().any()) for part in every)
