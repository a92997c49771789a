"""Preparation of a sample set for a run, by the layout of its samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from edanas.core.errors import DataError
from edanas.core.series import valid_lengths
from edanas.core.types import ImageSet, LoadedData, Survey
from edanas.data.auto_preset import sampled_positions, survey_of
from edanas.data.decoding import Fit, convert_arrays, inspect_array
from edanas.data.image_array import Pixels
from edanas.data.long_series import cut_long
from edanas.data.pixel_range import PixelRange, pixel_range
from edanas.data.sample_layout import SERIES, layout_of
from edanas.data.sample_set import Samples, SampleSet
from edanas.data.series import as_series


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
    """Return samples in the form in which a run reads them: images as bytes at one size, series as floats.

    Args:
        samples: Samples of any shape.
        fit: Size of the images; see `edanas.data.decoding.Fit`. Series keep their length.
        reading: The options of the user.

    Raises:
        DataError: The samples cannot be read as images or series.
    """
    order = layout_of(samples.samples, reading.layout)
    if order in SERIES:
        samples = cut_long(samples)
        values, sentences = as_series(samples.samples, order)
    else:
        decoded = convert_arrays(_images_of(samples, order, reading), fit, reading.channels)
        values, sentences = decoded.images, decoded.remarks
        _check_constant(values)
    labels = samples.labels
    loaded = ImageSet(values, torch.from_numpy(np.array(labels.codes)), labels.names, labels.other_values)
    remarks = (*samples.remarks, *sentences)
    return LoadedData(loaded, samples.parts, remarks, samples.names, samples.groups)


def _images_of(samples: SampleSet, order: str, reading: Reading) -> "_Images":
    return _Images(samples.samples, order, pixel_range(samples.samples, reading.range, order))


def as_images(samples: Samples, order: str, values: PixelRange, fit: Fit, channels: str) -> torch.Tensor:
    """Return images (N, C, H, W) as bytes, in the form in which a run reads them.

    Args:
        samples: The images.
        order: Order of their axes: `NCHW`, `NHWC` or `NHW`.
        values: Values of black and white pixels.
        fit: Size of the result; see `edanas.data.decoding.Fit`.
        channels: `grey`, `rgb` or `auto`.

    Raises:
        ConfigError: Pixels are outside the values of black and white.
        DataError: Pixels are not finite.
    """
    return convert_arrays(
        _Images(samples, order, pixel_range(samples, tuple(values), order)), fit, channels
    ).images


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
    names = samples.labels.names
    classes, parts = [names[code] for code in samples.labels.codes], samples.parts.tolist()
    order = layout_of(samples.samples, reading.layout)
    if order in SERIES:
        samples = cut_long(samples)
        classes = [names[code] for code in samples.labels.codes]
        parts = samples.parts.tolist()
        lengths = valid_lengths(as_series(samples.samples, order)[0])
        length = int(lengths.max())
        surveyed = survey_of(classes, parts, [((length, length), True)])
        return replace(surveyed, length=length, padded=bool((lengths < length).any()))
    images = _images_of(samples, order, reading)
    sample = [
        inspect_array(images[number], grey=reading.channels == "grey")
        for number in sampled_positions(len(images))
    ]
    return survey_of(classes, parts, sample)


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
