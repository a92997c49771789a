"""Preparation of a sample set for a run, by the layout of its samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from edanas.core.errors import DataError
from edanas.core.mapped import pieces
from edanas.core.series import valid_lengths
from edanas.core.types import ImageSet, LoadedData, Survey
from edanas.data.auto_preset import sampled_positions, survey_of
from edanas.data.decoding import Fit, convert_arrays, inspect_array
from edanas.data.image_array import Pixels
from edanas.data.long_series import cut_long
from edanas.data.pixel_range import PixelRange, pixel_range
from edanas.data.sample_layout import SERIES, layout_of
from edanas.data.sample_set import Samples, SampleSet, UnequalSamples
from edanas.data.series import as_series
from edanas.data.sound_reading import SoundReading, as_sound
from edanas.data.spectrogram import FrontEnd


@dataclass(frozen=True)
class Reading:
    """The options that name what samples do not show by themselves.

    Args:
        layout: Order of the axes; see `edanas.data.sample_layout.layout_of`.
        range: Values of black and white pixels; see `edanas.data.pixel_range.pixel_range`.
        channels: `grey`, `rgb` or `auto`; see `edanas.data.folder.Folder`.
        sound: Reading of series that are recordings; `None`, the default, for other data.

    Example:
        >>> Reading(layout="NHWC").range
        ()
    """

    layout: str = "auto"
    range: Sequence[float] = ()
    channels: str = "auto"
    sound: SoundReading | None = None


def load_samples(samples: SampleSet, fit: Fit, reading: Reading) -> LoadedData:
    """Return samples in the form in which a run reads them: images as bytes at one size, series as floats.

    Args:
        samples: Samples of any shape.
        fit: Size of the images; see `edanas.data.decoding.Fit`. Series keep their length.
        reading: The options of the user.

    Raises:
        DataError: The samples cannot be read as images or series.
    """
    if reading.sound is not None:
        return _load_sound(samples, reading.sound, fit if isinstance(fit, int) else max(fit))
    order = layout_of(samples.samples, reading.layout)
    if order in SERIES:
        samples, order = _long_series(samples, order)
        values, sentences = as_series(samples.samples, order)
    else:
        decoded = convert_arrays(_images_of(samples, order, reading), fit, reading.channels)
        values, sentences = decoded.images, decoded.remarks
        _check_constant(values)
    return _loaded(samples, values, sentences)


def _loaded(
    samples: SampleSet, values: torch.Tensor, sentences: Sequence[str], front_end: FrontEnd | None = None
) -> LoadedData:
    labels = samples.labels
    codes = torch.from_numpy(np.array(labels.codes))
    loaded = ImageSet(values, codes, labels.names, labels.other_values, samples.window_of)
    remarks, fields = (*samples.remarks, *sentences), front_end.to_json() if front_end else {}
    return LoadedData(loaded, samples.parts, remarks, samples.names, samples.groups, fields)


def _load_sound(samples: SampleSet, reading: SoundReading, size: int = 0) -> LoadedData:
    """Return recordings as pictures, or as series of one length.

    Raises:
        DataError: The samples are no recordings, or a value is not finite.
    """
    recordings = [as_sound(samples.samples[row]) for row in range(len(samples))]
    for row, sound in enumerate(recordings):
        shape = samples.samples[row].shape
        if len(shape) > 2 or not len(sound) or not np.isfinite(sound).all():
            raise DataError(
                f"samples: row {row} of shape {shape} is no recording; allowed: finite numbers (L,) or (C, L)"
            )
    names = samples.names or [f"row {row}" for row in range(len(samples))]
    values, sentences, front_end = reading.samples(
        [(sound, reading.rate) for sound in recordings], names, "samples", size
    )
    return _loaded(samples, values, sentences, front_end)


def _long_series(samples: SampleSet, order: str) -> tuple[SampleSet, str]:
    """Return series with channels first, whose longest are cut into windows, and the order of their axes."""
    if order == "NLC":
        swapped = [samples.samples[row].T for row in range(len(samples))]
        samples, order = replace(samples, samples=UnequalSamples.of(swapped)), "NCL"
    return cut_long(samples), order


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
    first = images[:1, :, :1, :1]
    constant = set(range(images.shape[1]))
    for piece in pieces(images):
        constant = {number for number in constant if bool((piece[:, number] == first[:, number]).all())}
        if not constant:
            return
    advice = "; data.channels=grey reads one channel" if images.shape[1] > 1 else ""
    number = min(constant)
    raise DataError(
        f"samples: channel {number} of {images.shape[1]} is {int(first[0, number])} of 255 in all "
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
    if reading.sound is not None:
        recorded = _load_sound(samples, reading.sound).samples.images
        side, is_raw = recorded.shape[3], recorded.is_floating_point()
        surveyed = survey_of(classes, parts, [((side, side), True)])
        return replace(surveyed, sound=not is_raw, length=side if is_raw else 0)
    order = layout_of(samples.samples, reading.layout)
    if order in SERIES:
        samples, order = _long_series(samples, order)
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
