"""Preparation of a sample set for a run, by the layout of its samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from edanas.core.errors import DataError
from edanas.core.types import ImageSet, LoadedData, Survey
from edanas.data.auto_preset import sampled_positions, survey_of
from edanas.data.decoding import Fit, convert_arrays, inspect_array
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
    images = _images_of(samples, layout_of(samples.samples, reading.layout), reading)
    decoded = convert_arrays(images, fit, reading.channels)
    labels = samples.labels
    loaded = ImageSet(
        decoded.images, torch.from_numpy(np.array(labels.codes)), labels.names, labels.other_values
    )
    _check_constant(loaded.images)
    remarks = (*samples.remarks, *decoded.remarks)
    return LoadedData(loaded, samples.parts, remarks, samples.names, samples.groups)


def _images_of(samples: SampleSet, order: str, reading: Reading) -> "_Images":
    if order in SERIES:
        # Seam: samples of shape (C, L) and (L,), of equal or unequal length, begin here.
        raise DataError(f"samples: found series, of layout {order}; allowed: images (data.layout)")
    return _Images(samples.samples, order, pixel_range(samples.samples, reading.range, order))


def _check_constant(images: torch.Tensor) -> None:
    """Check that no channel has the same value in all images.

    Raises:
        DataError: A channel has.
    """
    for number, channel in enumerate(images.unbind(dim=1)):
        if bool((channel == channel[0, 0, 0]).all()):
            advice = "; data.channels=grey reads one channel" if images.shape[1] > 1 else ""
            raise DataError(
                f"samples: channel {number} of {images.shape[1]} is {int(channel[0, 0, 0])} of 255 in all "
                f"pixels; allowed: channels that differ between samples{advice}"
            )


def survey_samples(samples: SampleSet, reading: Reading) -> Survey:
    """Count samples, and inspect the size and colour of at most 64 of them.

    Args:
        samples: Samples of any shape.
        reading: The options of the user.

    Raises:
        DataError: See `load_samples`.
    """
    images = _images_of(samples, layout_of(samples.samples, reading.layout), reading)
    sample = [
        inspect_array(images[number], grey=reading.channels == "grey")
        for number in sampled_positions(len(images))
    ]
    names = samples.labels.names
    return survey_of([names[code] for code in samples.labels.codes], samples.parts.tolist(), sample)


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
