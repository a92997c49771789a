"""Preparation of a sample set for a run, by the layout of its samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from edanas.core.errors import DataError
from edanas.core.types import ImageSet, LoadedData
from edanas.data.decoding import Fit, convert_arrays
from edanas.data.image_array import Pixels
from edanas.data.pixel_range import PixelRange, pixel_range
from edanas.data.sample_layout import SERIES, layout_of
from edanas.data.sample_set import Samples, SampleSet


@dataclass(frozen=True)
class Reading:
    """The options that name what samples do not show by themselves.

    Args:
        layout: Order of the axes; see `edanas.data.sample_layout.layout_of`.
        range: Values of black and white pixels; see `edanas.data.pixel_range.pixel_range`.
        channels: `grey`, `rgb` or `auto`; see `edanas.data.folder.Folder`.

    Example:
        >>> Reading(layout="NHWC").range
        ()
    """

    layout: str = "auto"
    range: Sequence[float] = ()
    channels: str = "auto"


def load_samples(samples: SampleSet, fit: Fit, reading: Reading) -> LoadedData:
    """Return samples in the form in which a run reads them: images as bytes at one size.

    Args:
        samples: Samples of any shape.
        fit: Size of the images; see `edanas.data.decoding.Fit`.
        reading: The options of the user.

    Raises:
        DataError: The samples are series, which have no form yet, or cannot be read as images.
    """
    order = layout_of(samples.samples, reading.layout)
    if order in SERIES:
        # Seam: samples of shape (C, L) and (L,), of equal or unequal length, begin here.
        raise DataError(f"samples: found series, of layout {order}; allowed: images (data.layout)")
    return _load_images(samples, order, fit, reading)


def _load_images(samples: SampleSet, order: str, fit: Fit, reading: Reading) -> LoadedData:
    pixels = _Images(samples.samples, order, pixel_range(samples.samples, reading.range))
    decoded = convert_arrays(pixels, fit, reading.channels)
    labels = samples.labels
    images = ImageSet(decoded.images, torch.from_numpy(np.array(labels.codes)), labels.names, labels.values)
    remarks = (*samples.remarks, *decoded.remarks)
    return LoadedData(images, samples.parts, remarks, samples.names, samples.groups)


@dataclass(frozen=True)
class _Images(Sequence[Pixels]):
    """Samples as images of bytes, of shape (H, W) or (H, W, C)."""

    samples: Samples
    order: str
    range: PixelRange

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> Pixels:  # type: ignore[override] # slices are not used
        pixels = self.range.bytes(np.asarray(self.samples[number]))
        return pixels.transpose(1, 2, 0) if self.order == "NCHW" else pixels
